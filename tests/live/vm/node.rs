//! A node with one image: builds in machines, one after the other, and what they leave behind.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::image;
use super::parts::Parts;
use crate::fake::controller::{Answers, FakeController};
use crate::story::until;

/// Longer than any machine here lives, on a machine that does much else.
pub(super) const LONG: Duration = Duration::from_secs(400);
/// The most that a machine of a test lives.
pub(super) const LIFE: &str = "150s";
/// So long that no test sees the end of it: who is gone before was ended by something else.
pub(super) const LONG_LIFE: &str = "1h";
const COMMIT: &str = "0123456789012345678901234567890123456789";
/// Its only image.
pub(super) const IMAGE: &str = "busybox";
/// What `albatros vm` ends with where the build's end is not the script's.
pub(super) const LOST: i32 = 125;

/// It.
#[derive(Debug)]
pub(super) struct Node {
    parts: Parts,
    room: tempfile::TempDir,
    builds: AtomicU32,
}

impl Node {
    /// With the image; none, and a line that is always seen, where a part is missing.
    pub(super) async fn begin(story: &str) -> Option<Self> {
        let parts = Parts::find(story).await?;
        let room = tempfile::Builder::new().prefix("albatros-vm-").tempdir().unwrap();
        std::fs::set_permissions(room.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let node = Self { parts, room, builds: AtomicU32::new(0) };
        node.make(IMAGE, &[]).await;
        Some(node)
    }

    /// Another image, with these files beside the one program.
    pub(super) async fn make(&self, name: &str, files: &[(String, Vec<u8>)]) {
        let tar = self.room.path().join("root.tar");
        image::write(&tar, files);
        let made = self.image(&["build", "--name", name, &format!("tar:{}", tar.display())]).await;
        assert_eq!(made.code, 0, "{}", made.err);
    }

    /// Where its images and runs are.
    pub(super) fn store(&self) -> PathBuf {
        self.room.path().join("store")
    }

    /// The static program.
    pub(super) fn program(&self) -> &Path {
        &self.parts.program
    }

    /// Its folder, for what a story needs beside it.
    pub(super) fn room(&self) -> &Path {
        self.room.path()
    }

    /// `albatros vm image …`
    pub(super) async fn image(&self, words: &[&str]) -> Ended {
        let mut command = self.typed(&["vm", "image"]);
        command.args(words).arg("--store").arg(self.store());
        Running::of(command).end().await
    }

    /// A build of this script.
    pub(super) fn build(&self, script: &str) -> Build<'_> {
        self.build_with(script, Answers::default())
    }

    /// The same with what its controller answers.
    pub(super) fn build_with(&self, script: &str, answers: Answers) -> Build<'_> {
        let folder = self.room.path().join(format!("build-{}", self.builds.fetch_add(1, Ordering::Relaxed)));
        for part in ["alloc/workspace", "alloc/bin", "local", "secrets"] {
            std::fs::create_dir_all(folder.join(part)).unwrap();
        }
        let controller = FakeController::start(&folder.join("alloc"), answers);
        let build = Build { node: self, folder, controller, vars: BTreeMap::new(), flags: Vec::new() };
        build.file(".albatros", script.as_bytes());
        build.mode(".albatros", 0o755);
        build
    }

    fn typed(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.parts.program);
        command.args(words).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("TMPDIR", self.room.path()).current_dir(self.room.path());
        command
    }

    /// The next build is as if nothing had been before it, and leaves nothing either.
    pub(super) async fn is_unharmed(&self) {
        let next = self.build("#!/bin/sh\ncat seen\n").and("seen", b"all is well\n").run().await;
        assert_eq!((next.code, next.out()), (0, "all is well\n"), "{}", next.err);
        self.nothing_is_left().await;
    }

    /// No process, no folder and no mount of any run. What is killed needs a moment to be gone.
    pub(super) async fn nothing_is_left(&self) {
        let gone = || async { self.machines().is_empty().then_some(()) };
        until("no process of a machine", gone).await;
        let runs = std::fs::read_dir(self.store().join("runs")).into_iter().flatten().flatten();
        let runs: Vec<_> = runs.map(|run| run.path()).filter(|run| run.is_dir()).collect();
        assert!(runs.is_empty(), "{runs:?}");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(self.room.path().to_str().unwrap()), "{mounts}");
    }

    /// The processes that are a machine of this node, or about to be one.
    pub(super) fn machines(&self) -> Vec<i32> {
        let store = self.store();
        let all = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = all.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
        let named = pids.filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            // It is handed its files open: their names are in no command line.
            let files = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            let mut files = files.filter_map(|file| std::fs::read_link(file.path()).ok());
            String::from_utf8_lossy(&line).contains("qemu-system") && files.any(|file| file.starts_with(&store))
        });
        named.collect()
    }

    /// Everything that is no run's: path and hash.
    pub(super) fn images(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.store()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap().flatten() {
                let path = entry.path();
                if entry.file_type().unwrap().is_dir() {
                    if path != self.store().join("runs") {
                        folders.push(path);
                    }
                } else {
                    let hash = hex::encode(Sha256::digest(std::fs::read(&path).unwrap()));
                    all.insert(path, hash);
                }
            }
        }
        all
    }
}

/// One that has not begun.
#[derive(Debug)]
pub(super) struct Build<'a> {
    node: &'a Node,
    folder: PathBuf,
    pub(super) controller: FakeController,
    vars: BTreeMap<String, String>,
    flags: Vec<String>,
}

impl Build<'_> {
    fn file(&self, name: &str, bytes: &[u8]) {
        let path = self.workspace().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Changes the mode of a file of the workspace.
    pub(super) fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.workspace().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Where the workspace is on the node.
    pub(super) fn workspace(&self) -> PathBuf {
        self.folder.join("alloc/workspace")
    }

    /// With another file in the workspace.
    pub(super) fn and(self, name: &str, bytes: &[u8]) -> Self {
        self.file(name, bytes);
        self
    }

    /// With a variable of the task.
    pub(super) fn var(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With flags of `albatros vm`.
    pub(super) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// Begins it.
    pub(super) fn start(self) -> (Running, FakeController) {
        let mut command = self.node.typed(&["vm"]);
        for (name, folder) in [("ALLOC", "alloc"), ("TASK", "local"), ("SECRETS", "secrets")] {
            command.env(format!("NOMAD_{name}_DIR"), self.folder.join(folder));
        }
        let store = self.node.store();
        let usual = [
            ("NOMAD_JOB_ID", "builder/dispatch-1"),
            ("NOMAD_META_REPO_URL", "https://git.example/o/r"),
            ("NOMAD_META_COMMIT", COMMIT),
            ("NOMAD_META_BRANCH", "main"),
            ("NOMAD_META_FLAVOR", "default"),
            ("NOMAD_META_IMAGE", IMAGE),
            ("NOMAD_TOKEN", "n0mad-t0ken"),
            ("ALBATROS_VM_ACCEL", "tcg"),
            ("ALBATROS_VM_ENGINE", "qemu"),
            ("ALBATROS_VM_PULL", "never"),
            ("ALBATROS_VM_CPUS", "1"),
            ("ALBATROS_VM_MEMORY", "384"),
            ("ALBATROS_VM_DISK", "512M"),
            ("ALBATROS_VM_LIFE", LIFE),
            ("ALBATROS_VM_STORE", store.to_str().unwrap()),
        ];
        command.envs(usual).envs(&self.vars).args(&self.flags);
        (Running::of(command), self.controller)
    }

    /// Runs it to its end.
    pub(super) async fn run(self) -> Ended {
        let (running, controller) = self.start();
        let ended = running.end().await;
        Ended { calls: controller.calls(), ..ended }
    }
}

/// One that has begun.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    out: ChildStdout,
    err: JoinHandle<Vec<u8>>,
    read: Vec<u8>,
}

impl Running {
    fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        Self { child, out, err: tokio::spawn(whole(err)), read: Vec::new() }
    }

    /// Which process it is.
    pub(super) fn pid(&self) -> i32 {
        i32::try_from(self.child.id().unwrap()).unwrap()
    }

    /// Waits until the script has said this.
    pub(super) async fn says(&mut self, words: &str) {
        let reading = async {
            while !String::from_utf8_lossy(&self.read).contains(words) {
                if self.out.read_buf(&mut self.read).await.unwrap() == 0 {
                    break;
                }
            }
        };
        timeout(LONG, reading).await.unwrap();
        if !String::from_utf8_lossy(&self.read).contains(words) {
            let err = (&mut self.err).await.unwrap();
            panic!("it ended without {words:?}: {}", String::from_utf8_lossy(&err));
        }
    }

    /// A signal for `albatros vm` itself.
    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        kill(self.pid(), signal);
    }

    /// Its end.
    pub(super) async fn end(mut self) -> Ended {
        let all = async {
            self.out.read_to_end(&mut self.read).await.unwrap();
            let err = self.err.await.unwrap();
            (self.child.wait().await.unwrap(), err)
        };
        let (status, err) = timeout(LONG, all).await.unwrap();
        let code = status.code().or(status.signal().map(|signal| -signal)).unwrap();
        Ended { code, out: self.read, err: String::from_utf8_lossy(&err).into_owned(), calls: Vec::new() }
    }
}

/// A signal for a process of this machine.
pub(super) fn kill(pid: i32, signal: rustix::process::Signal) {
    // It may have ended by itself.
    let _ = rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal);
}

async fn whole(mut err: ChildStderr) -> Vec<u8> {
    let mut all = Vec::new();
    err.read_to_end(&mut all).await.unwrap();
    all
}

/// How it ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Negative for a signal.
    pub(super) code: i32,
    pub(super) out: Vec<u8>,
    pub(super) err: String,
    /// What its controller was told.
    pub(super) calls: Vec<String>,
}

impl Ended {
    /// What the script printed.
    pub(super) fn out(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Whether the controller was told that the machine failed, whatever the script has said.
    pub(super) fn told_failed(&self) -> bool {
        self.calls.iter().any(|call| call.starts_with("machine ") && call.contains("\"failed\""))
    }
}
