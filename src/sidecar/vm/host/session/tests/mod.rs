//! A host against guests that keep to their side, and against those that do anything else.

mod back;
mod course;
mod stops;
mod streams;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;

use super::super::console::Console;
use super::super::folders::{self, Folder};
use super::super::place::Place;
use super::*;
use crate::domain::vm::Mount;
use crate::sidecar::pack::{Limits, Links, Selection};
use crate::sidecar::vm::link::LinkError;

const NONCE: &str = "abababababababababababababababababababababababababababababababab";
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(120);

/// What is written into it can be read.
#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A log that nobody reads.
struct Stuck;

impl Write for Stuck {
    fn write(&mut self, _bytes: &[u8]) -> std::io::Result<usize> {
        loop {
            std::thread::park();
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn plan(workspace: &Path, output: &Written) -> Plan {
    let mount = Mount { id: "workspace".to_owned(), at: "/alloc/workspace".to_owned(), writable: true };
    let setup = Setup {
        nonce: NONCE.to_owned(),
        now_ms: 0,
        seed: String::new(),
        hostname: "albatros".to_owned(),
        uid: 1000,
        gid: 1000,
        env: BTreeMap::new(),
        token: None,
        api: false,
        workspace: mount,
        mounts: Vec::new(),
        network: None,
        grace: 1,
    };
    let back = Place::own(workspace, "run", "workspace").unwrap();
    let folder = Folder::whole("workspace", workspace, Some(back), Limits::default()).unwrap();
    Plan {
        setup,
        folders: vec![folder],
        limits: Limits { bytes: 1 << 20, entries: 100, depth: 10, links: Links::Anywhere },
        door: None,
        service: None,
        stdout: Some(Box::new(output.clone())),
        stderr: Some(Box::new(output.clone())),
    }
}

/// The other side.
struct Guest {
    link: Link,
    control: BufReader<Stream>,
}

impl Guest {
    fn start(io: UnixStream) -> Self {
        let (link, _incoming) = Link::start(io, Side::Guest);
        let control = BufReader::new(link.open(Purpose::Control).unwrap());
        Self { link, control }
    }

    async fn say(&mut self, word: Value) {
        let _ = self.control.write_all(format!("{word}\n").as_bytes()).await;
        let _ = self.control.flush().await;
    }

    async fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.control.read_line(&mut line).await.unwrap();
        serde_json::from_str(&line).unwrap_or_default()
    }

    /// As far as the script.
    async fn runs(&mut self) {
        self.say(json!({"is": "booted", "version": 1})).await;
        assert_eq!(self.hear().await["setup"]["nonce"].as_str().or(Some(NONCE)), Some(NONCE));
        self.say(json!({"is": "ready", "nonce": NONCE})).await;
        self.say(json!({"is": "running", "nonce": NONCE})).await;
    }

    async fn done(&mut self, code: u8) {
        self.say(json!({"is": "done", "nonce": NONCE, "end": {"code": code}})).await;
    }

    /// Gives a folder back as the workspace.
    async fn give(&self, from: &Path) {
        let out = self.link.open(Purpose::Out("workspace".to_owned())).unwrap();
        let all = Selection::beneath(from, &[".".into()], Limits::default()).unwrap().into_archive();
        folders::send(&all, out).await.unwrap();
    }

    async fn print(&self, purpose: Purpose, bytes: &[u8]) {
        let mut stream = self.link.open(purpose).unwrap();
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
    }

    /// Stays as it is until the host has gone.
    async fn stays(&self) -> LinkError {
        self.link.closed().await
    }
}

struct Room {
    dir: tempfile::TempDir,
    output: Written,
    within: Within,
    life: Duration,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("workspace")).unwrap();
        std::fs::create_dir(dir.path().join("inside")).unwrap();
        std::fs::write(dir.path().join("workspace/old"), "old").unwrap();
        std::fs::write(dir.path().join("inside/new"), "new").unwrap();
        let within = Within { boot: LONG, setup: LONG, grace: LONG, back: LONG };
        Self { dir, output: Written::default(), within, life: LONG }
    }

    fn workspace(&self) -> std::path::PathBuf {
        self.dir.path().join("workspace")
    }

    fn inside(&self) -> std::path::PathBuf {
        self.dir.path().join("inside")
    }

    async fn meets(&self, guest: impl AsyncFnOnce(Guest)) -> Ending {
        self.meets_with(plan(&self.workspace(), &self.output), Stops::by_hand().1, guest).await
    }

    async fn meets_with(&self, mut plan: Plan, mut stops: Stops, guest: impl AsyncFnOnce(Guest)) -> Ending {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let process = tokio::process::Command::new("sleep").arg("1000").stdin(Stdio::null()).kill_on_drop(true).spawn();
        let mut machine = Machine::new(process.unwrap(), ours, Console::default());
        let end = Instant::now() + self.life;
        let host = async {
            let ending = run(&mut machine, &mut plan, self.within, end, &mut stops).await;
            machine.end(Duration::ZERO).await;
            ending
        };
        tokio::join!(host, guest(Guest::start(theirs))).0
    }
}

fn why(ending: Ending) -> String {
    match ending {
        Ending::Lost(_, why) => why,
        other => format!("not lost: {other:?}"),
    }
}
