//! A real `albatros serve` process.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::wire::PATIENCE;

/// What a process prints, line by line.
#[derive(Debug)]
pub(crate) struct Printed {
    lines: Mutex<Vec<String>>,
    count: watch::Sender<usize>,
}

impl Printed {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { lines: Mutex::default(), count: watch::channel(0).0 })
    }

    /// Everything so far.
    pub(crate) fn all(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// Waits until a line with these words has been printed, and gives it.
    pub(crate) async fn wait(&self, words: &str) -> String {
        let found = || self.lines.lock().unwrap().iter().find(|line| line.contains(words)).cloned();
        let mut count = self.count.subscribe();
        let waited = tokio::time::timeout(PATIENCE, count.wait_for(|_| found().is_some())).await.is_ok();
        assert!(waited, "nothing with {words:?} was printed, but:\n{}", self.all());
        found().unwrap()
    }

    /// Reads lines until `from` ends.
    pub(crate) fn read(self: &Arc<Self>, from: impl AsyncRead + Unpin + Send + 'static) {
        let this = Arc::clone(self);
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                this.lines.lock().unwrap().push(line);
                this.count.send_modify(|count| *count += 1);
            }
        });
    }
}

/// A running server. It is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Serve {
    child: Child,
    pid: Pid,
    /// `http://127.0.0.1:<port>`.
    pub(crate) url: String,
    pub(crate) printed: Arc<Printed>,
}

impl Serve {
    /// Starts with this environment and nothing else, and waits until it listens.
    pub(crate) async fn start(environment: &[(String, String)], printed: Option<Arc<Printed>>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_albatros"))
            .arg("serve")
            .env_clear()
            .envs(environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let printed = printed.unwrap_or_else(Printed::new);
        printed.read(child.stdout.take().unwrap());
        printed.read(child.stderr.take().unwrap());
        let line = printed.wait("listening on ").await;
        let address = line.split("listening on ").nth(1).unwrap();
        let address = address.split(|c: char| c == '"' || c.is_whitespace()).next().unwrap();
        let pid = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        Self { child, pid, url: format!("http://{address}"), printed }
    }

    /// `kill -9`; returns when it is gone.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM; its exit code once it has ended.
    pub(crate) async fn terminate(mut self) -> Option<i32> {
        kill_process(self.pid, Signal::TERM).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it ends after SIGTERM").unwrap().code()
    }

    /// SIGSTOP: it does nothing any more, and does not know it.
    pub(crate) fn freeze(&self) {
        kill_process(self.pid, Signal::STOP).unwrap();
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        kill_process(self.pid, Signal::CONT).unwrap();
    }

    /// Resident memory, bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid.as_raw_nonzero())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }
}
