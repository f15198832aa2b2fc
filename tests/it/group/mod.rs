//! The tasks of a runner group as Nomad would start them: `sidecar prepare`, `sidecar` and `exec`, around a controller.

mod credential;
mod executor;
mod kept;
mod logs;
mod network;
mod prepared;
mod refused;
mod size;
mod submodules;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::fake::controller::{Answers, FakeController};
use super::fake::repos::Repos;

/// Longer than anything here takes; a test that needs it has failed.
const LONG: Duration = Duration::from_secs(60);
/// The forge token.
const PASSWORD: &str = "f0rgetoken";

/// An allocation's directories, a forge, and what a controller says of a build.
struct Group {
    room: tempfile::TempDir,
    repos: Repos,
    url: String,
    commit: String,
    checkout: Value,
    answers: Answers,
}

/// How a task ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Group {
    /// A build of what is at `name` on the forge.
    fn new(repos: Repos, name: &str, commit: &str) -> Self {
        let room = tempfile::tempdir().unwrap();
        std::fs::set_permissions(room.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        for sub in ["alloc", "local", "secrets"] {
            std::fs::create_dir(room.path().join(sub)).unwrap();
            let mode = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(room.path().join(sub), mode).unwrap();
        }
        let url = repos.url(name);
        let checkout = json!({"submodules": false, "lfs": false});
        Self { room, repos, url, commit: commit.to_owned(), checkout, answers: Answers::default() }
    }

    /// A build of a repository with this script.
    async fn of(script: &str) -> Self {
        let repos = Repos::start().await;
        let work = repos.work("hello");
        work.script(script);
        let commit = work.publish();
        Self::new(repos, "hello", &commit)
    }

    fn alloc(&self) -> PathBuf {
        self.room.path().join("alloc")
    }

    fn workspace(&self) -> PathBuf {
        self.alloc().join("workspace")
    }

    /// The forge wants the token, and the controller gives it out for what begins with `scope`.
    fn credential(&mut self, scope: &str) {
        self.repos.password(PASSWORD);
        self.checkout["credential"] = json!({"scope": scope, "user": "albatros", "password": PASSWORD});
    }

    fn controller(&self) -> FakeController {
        let build = json!({
            "id": "builder/dispatch-1", "repo_url": self.url, "commit": self.commit, "branch": "main",
            "ref": "refs/heads/main", "flavor": "default", "trusted": true
        });
        let workspace = json!({"build": build, "checkout": self.checkout, "notice": "no session: a test"});
        FakeController::start(&self.alloc(), Answers { workspace, ..self.answers.clone() })
    }

    fn task(&self, args: &[&str]) -> Command {
        self.task_of(Path::new(env!("CARGO_BIN_EXE_albatros")), args)
    }

    fn task_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        for (name, dir) in [("ALLOC", "alloc"), ("TASK", "local"), ("SECRETS", "secrets")] {
            command.env(format!("NOMAD_{name}_DIR"), self.room.path().join(dir));
        }
        command.env("NOMAD_JOB_ID", "builder/dispatch-1").env("NOMAD_META_REPO_URL", &self.url);
        command.env("NOMAD_META_COMMIT", &self.commit).env("NOMAD_META_BRANCH", "main");
        command.env("NOMAD_META_FLAVOR", "default").env("NOMAD_TOKEN", "n0mad");
        command.env("ALBATROS_FETCH_LIMIT", "1s");
        command
    }

    /// Starts the sidecar and runs `prepare` to its end.
    async fn prepare(&self) -> (FakeController, Child, Ended) {
        let controller = self.controller();
        let sidecar = self.task(&["sidecar"]).spawn().unwrap();
        let ended = ended(self.task(&["sidecar", "prepare"])).await;
        (controller, sidecar, ended)
    }

    /// The same, and it must succeed.
    async fn prepared(&self) -> (FakeController, Child) {
        let (controller, sidecar, prepared) = self.prepare().await;
        assert_eq!(prepared.code, 0, "{}", prepared.err);
        (controller, sidecar)
    }

    /// Runs `exec` with the program that `prepare` has left.
    async fn exec(&self, more: &[(&str, &str)]) -> Ended {
        let mut command = self.task_of(&self.alloc().join("bin/albatros"), &["exec"]);
        command.envs(more.iter().copied());
        ended(command).await
    }
}

async fn ended(mut command: Command) -> Ended {
    said(tokio::time::timeout(LONG, command.output()).await.expect("the task ends").unwrap())
}

/// Waits for a task that was started.
async fn end_of(child: Child) -> Ended {
    said(tokio::time::timeout(LONG, child.wait_with_output()).await.expect("the task ends").unwrap())
}

fn said(output: Output) -> Ended {
    use std::os::unix::process::ExitStatusExt as _;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().or(output.status.signal().map(|signal| -signal)).unwrap();
    Ended { code, out: text(&output.stdout), err: text(&output.stderr) }
}

/// Sends TERM.
fn stop(child: &Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
}

/// Every file below, links not followed.
fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = vec![below.to_owned()];
    while let Some(dir) = rest.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => rest.push(entry.path()),
                _ => found.push(entry.path()),
            }
        }
    }
    found
}

/// Whether tests run as root, as they do where whole machines are made for them; the rest cannot take another user.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
