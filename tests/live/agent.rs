//! A Consul agent of our own, on free ports of this machine.

use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use albatros::api::consul::Consul;
use albatros::api::http::{EndpointConfig, Service, Tls, TokenSource};
use albatros::domain::secret::Secret;

/// How long an agent takes to elect itself, on a slow machine.
const START: Duration = Duration::from_secs(30);

/// The management token of an agent with ACLs.
pub(crate) const ROOT: &str = "7d3f3b5e-9c6c-4f4a-8a54-1f6d0a3b2c1d";

/// A running agent; ended on drop.
#[derive(Debug)]
pub(crate) struct Agent {
    child: Child,
    port: u16,
    _data: tempfile::TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

fn installed() -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| Path::new(&folder).join("consul").is_file()))
}

impl Agent {
    /// Starts one with this piece of configuration (HCL); none, and a line that is always seen, without `consul`.
    pub(crate) async fn start(story: &str, hcl: &str) -> Option<Self> {
        if !installed() {
            // The test harness swallows what `eprintln!` says.
            let _ = writeln!(std::io::stderr(), "SKIPPED {story}: there is no `consul` on PATH");
            return None;
        }
        let [http, server, lan, wan] = free_ports();
        let data = tempfile::tempdir().unwrap();
        let child = Command::new("consul")
            .args(["agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-dns-port=-1", "-grpc-port=-1"])
            .args([format!("-http-port={http}"), format!("-server-port={server}")])
            .args([format!("-serf-lan-port={lan}"), format!("-serf-wan-port={wan}")])
            .args(["-hcl", hcl])
            .current_dir(data.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { child, port: http, _data: data };
        let begun = Instant::now();
        // A key can be written: it has a leader.
        while agent.consul(Some(ROOT)).put("ready", "yes".into(), None, 0).await.is_err() {
            assert!(begun.elapsed() < START, "the agent does not come up");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Some(agent)
    }

    /// A client with this token.
    pub(crate) fn consul(&self, token: Option<&str>) -> Consul {
        Consul::new(EndpointConfig {
            service: Service::Consul,
            address: format!("127.0.0.1:{}", self.port).parse().unwrap(),
            token: token.map(|token| TokenSource::Value(Secret::new(token))),
            tls: Tls::default(),
            http_auth: None,
            query: Vec::new(),
        })
        .unwrap()
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
