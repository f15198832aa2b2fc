//! `albatros controller` as the process that Nomad starts.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use albatros::api::controller::{Controller, ControllerAddress};
use albatros::domain::secret::Secret;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::{COMMIT, grant};
use crate::fake::serve::Printed;
use crate::fake::wire::PATIENCE;

/// A running controller; it is killed when this is dropped.
pub(super) struct Process {
    child: Child,
    pub(super) dir: PathBuf,
    pub(super) printed: Arc<Printed>,
    _folder: TempDir,
}

impl Process {
    /// Starts with a trusted grant on standard input, and returns when its tokens are there.
    pub(super) async fn start(more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let mut child = command(more).arg("--grant-stdin").env("NOMAD_ALLOC_DIR", &dir).spawn().unwrap();
        let printed = Printed::new();
        printed.read(child.stderr.take().unwrap());
        let mut input = child.stdin.take().unwrap();
        input.write_all(&grant(true).to_wire().unwrap()).await.unwrap();
        drop(input);
        let process = Self { child, dir, printed, _folder: folder };
        let there = async {
            while !process.dir.join("albatros-trusted.token").exists() {
                sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        assert!(timeout(PATIENCE, there).await.is_ok(), "it did not start:\n{}", process.printed.all());
        process
    }

    pub(super) fn socket(&self) -> PathBuf {
        self.dir.join("albatros.sock")
    }

    pub(super) fn token(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.join(name)).unwrap()
    }

    pub(super) fn as_script(&self) -> Controller {
        let token = Secret::new(self.token("albatros.token"));
        Controller::new(&ControllerAddress::Unix(self.socket()), token).unwrap()
    }

    pub(super) fn as_trusted(&self) -> Controller {
        let token = Secret::new(self.token("albatros-trusted.token"));
        Controller::new(&ControllerAddress::Unix(self.dir.join("albatros-trusted.sock")), token).unwrap()
    }

    /// Resident memory, bytes.
    pub(super) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Sends a signal; the exit code once it has ended.
    pub(super) async fn stop(mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
        timeout(PATIENCE, self.child.wait()).await.expect("it ends").unwrap().code()
    }
}

fn command(more: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.arg("controller").env_clear().kill_on_drop(true);
    command.env("NOMAD_JOB_ID", "builder/dispatch-1-a").env("NOMAD_META_REPO_URL", "https://git.example/o/r");
    command.env("NOMAD_META_COMMIT", COMMIT).env("NOMAD_META_BRANCH", "main").env("NOMAD_META_FLAVOR", "default");
    command.envs(more.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Starts one that is to fail: its exit code and what it said.
async fn failed(more: &[(&str, &str)], arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = command(more).args(arguments).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // It may have ended before it reads.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn it_ends_in_order_on_either_signal_though_streams_are_open() {
    for signal in [Signal::TERM, Signal::INT] {
        let process = Process::start(&[]).await;
        let _own = process.as_script().events(None).await.unwrap();
        let _sidecars = process.as_trusted().events(None).await.unwrap();
        assert_eq!(process.stop(signal).await, Some(0));
    }
}

#[tokio::test]
async fn its_last_line_says_what_was_asked_of_it() {
    let process = Process::start(&[]).await;
    process.as_trusted().workspace().await.unwrap();
    assert!(process.as_script().param("NOTHING_LIKE_THAT").await.unwrap().is_none());
    let printed = process.printed.clone();
    assert_eq!(process.stop(Signal::TERM).await, Some(0));
    let line = printed.wait("served requests=").await;
    assert!(line.contains("/v1/workspace 2xx 1") && line.contains("/v1/params/{name} 4xx 1"), "{line}");
}

#[tokio::test]
async fn its_log_holds_no_token_and_no_secret() {
    let process = Process::start(&[("ALBATROS_LOG", "trace")]).await;
    process.as_trusted().workspace().await.unwrap();
    process.as_script().param("SECRET1").await.unwrap();
    process.printed.wait("the build has its session").await;
    let (printed, script) = (process.printed.all(), process.token("albatros.token"));
    for secret in [script.as_str(), &process.token("albatros-trusted.token"), "c0ffee", "y y"] {
        assert!(!printed.contains(secret), "{secret} in\n{printed}");
    }
}

#[tokio::test]
async fn the_script_may_ask_over_tcp_and_the_trusted_tasks_may_not() {
    let process = Process::start(&[("ALBATROS_CONTROLLER_LISTEN", "127.0.0.1:0")]).await;
    let line = process.printed.wait("listens on ").await;
    let address = line.split("listens on ").nth(1).unwrap().trim();
    let ask = |token: String| {
        let address = ControllerAddress::Web(format!("http://{address}").parse().unwrap());
        Controller::new(&address, Secret::new(token)).unwrap()
    };
    let script = ask(process.token("albatros.token"));
    assert_eq!(script.param("SECRET1").await.unwrap().unwrap().expose(), "xx");
    let trusted = ask(process.token("albatros-trusted.token"));
    assert_eq!(trusted.workspace().await.unwrap_err().status().unwrap(), 403);
}

#[tokio::test]
async fn wrong_settings_end_it_with_a_sentence_and_their_own_code() {
    let folder = tempfile::tempdir().unwrap();
    let dir = ("NOMAD_ALLOC_DIR", folder.path().to_str().unwrap());
    let (code, said) = failed(&[], &[], "").await;
    assert!(code == Some(78) && said.contains("NOMAD_ALLOC_DIR"), "{code:?} {said}");
    let (code, said) = failed(&[dir, ("NOMAD_META_COMMIT", "HEAD")], &[], "").await;
    assert!(code == Some(78) && said.contains("NOMAD_META_COMMIT"), "{code:?} {said}");
    let (code, said) = failed(&[dir], &["--grant-stdin"], r#"{"build":"s3cr3t"}"#).await;
    assert!(code == Some(78) && said.contains("no grant") && !said.contains("s3cr3t"), "{code:?} {said}");
    let (code, said) = failed(&[("NOMAD_ALLOC_DIR", "/nowhere")], &[], "").await;
    assert!(code == Some(78) && said.contains("/nowhere"), "{code:?} {said}");
}
