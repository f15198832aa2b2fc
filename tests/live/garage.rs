//! A bucket of our own: one node of Garage on free ports of this machine.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::fake::hex;
use crate::minded::{Minded, Room, free_ports, may_run};

/// How long a node takes to come up, on a slow machine.
const START: Duration = Duration::from_secs(30);
const REGION: &str = "garage";
const BUCKET: &str = "albatros";

/// A running node with a bucket and a key for it; ended on drop.
#[derive(Debug)]
pub(crate) struct Garage {
    server: Minded,
    port: u16,
    id: String,
    pub(crate) secret: String,
}

impl Garage {
    /// Starts one; none, and a line that is always seen, where the live tests are not asked for or there is no `garage`.
    pub(crate) fn start(story: &str) -> Option<Self> {
        if !may_run(story, &["garage"]) {
            return None;
        }
        let [port, rpc] = free_ports();
        let room = Room::new("garage");
        let folder = room.path().display().to_string();
        let config = room.write("garage.toml", &config(&folder, port, rpc));
        let command = ["garage", "-c", &config, "server"].map(str::to_owned);
        let (id, secret) = (format!("GK{}", hex(12)), hex(32));
        let garage = Self { server: Minded::start(room, &command), port, id, secret };
        let begun = Instant::now();
        let node = loop {
            if let Some(node) = garage.run(&["node", "id", "-q"]).filter(|_| garage.run(&["status"]).is_some()) {
                break node.split('@').next().unwrap().to_owned();
            }
            assert!(begun.elapsed() < START, "garage does not come up: {}", garage.server.last_words());
            std::thread::sleep(Duration::from_millis(100));
        };
        for args in [
            vec!["layout", "assign", "-z", "here", "-c", "5G", &node],
            vec!["layout", "apply", "--version", "1"],
            vec!["key", "import", "--yes", "-n", "albatros", &garage.id, &garage.secret],
            vec!["bucket", "create", BUCKET],
            vec!["bucket", "allow", "--read", "--write", BUCKET, "--key", &garage.id],
        ] {
            while garage.run(&args).is_none() {
                assert!(begun.elapsed() < START, "garage {}: {}", args[0], garage.server.last_words());
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Some(garage)
    }

    /// What it says, if it does what it is told.
    fn run(&self, args: &[&str]) -> Option<String> {
        let config = self.server.room().join("garage.toml");
        let output = Command::new("garage").arg("-c").arg(config).args(args).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// The settings of a server that uses it, with keys below a prefix.
    pub(crate) fn settings(&self, prefix: &str) -> Vec<(String, String)> {
        [
            ("ALBATROS_STORE", format!("s3://{BUCKET}/{prefix}")),
            ("AWS_ENDPOINT_URL", self.url()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", self.id.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.secret.clone()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

fn config(folder: &str, port: u16, rpc: u16) -> String {
    format!(
        r#"metadata_dir = "{folder}/meta"
data_dir = "{folder}/data"
db_engine = "sqlite"
replication_factor = 1
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{}"
[s3_api]
s3_region = "{REGION}"
api_bind_addr = "127.0.0.1:{port}"
"#,
        hex(32)
    )
}
