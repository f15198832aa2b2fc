//! Builds as processes of this machine: the real binary as supervisor and executor, real git, real scripts.

mod containers;
mod ends;
mod environment;
mod group;
mod kept;
mod logs;
mod restarts;
mod session;
mod workspace;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use albatros::domain::event::EventKind;
use albatros::domain::grant::{Checkout, Facts, Grant};
use albatros::domain::id::BuildId;
use albatros::domain::outcome::{Outcome, Verdict, judge};
use albatros::domain::secret::Secret;
use albatros::engine::{Engine, Keep, LocalEngine, LocalError, LocalSettings, LocalSource, LogPiece, LogStream, Order};

/// Longer than anything here takes; a test that needs it has failed.
const LONG: Duration = Duration::from_secs(40);

/// The name under which [`Machine::source`] is known to the engine.
const REPO_URL: &str = "http://localhost/hello";

static CLAIMS: AtomicU64 = AtomicU64::new(1);

/// A data directory, a repository and an engine over both.
struct Machine {
    room: tempfile::TempDir,
    data: PathBuf,
    engine: Option<Engine>,
    builds: usize,
    path: Option<std::ffi::OsString>,
    home: Option<PathBuf>,
}

/// What a finished build said.
struct Said {
    stdout: String,
    stderr: String,
    outcome: Outcome,
}

impl Machine {
    fn new() -> Self {
        Self::made("data", 2)
    }

    fn with_places(builds: usize) -> Self {
        Self::made("data", builds)
    }

    fn in_directory(data: &str) -> Self {
        Self::made(data, 2)
    }

    fn made(data: &str, builds: usize) -> Self {
        let mut this = Self::unopened(data, builds);
        this.open();
        this
    }

    fn unopened(data: &str, builds: usize) -> Self {
        let room = tempfile::tempdir().unwrap();
        std::fs::create_dir(room.path().join("source")).unwrap();
        let data = room.path().join(data);
        let this = Self { room, data, engine: None, builds, path: None, home: None };
        this.git(&["init", "-q", "-b", "main", "."]);
        this
    }

    fn source(&self) -> PathBuf {
        self.room.path().join("source")
    }

    fn data(&self) -> PathBuf {
        self.data.clone()
    }

    fn keep(&self) -> Keep {
        Keep { dir: self.room.path().join("kept"), always: false }
    }

    fn settings(&self) -> LocalSettings {
        LocalSettings {
            data: self.data(),
            program: env!("CARGO_BIN_EXE_albatros").into(),
            builds: self.builds,
            jobs: self.builds,
            path: self.path.clone().unwrap_or_else(|| std::env::var_os("PATH").unwrap()),
            script_path: None,
            container_vars: self.home.iter().map(|home| ("HOME".into(), home.into())).collect(),
            git_vars: Vec::new(),
            keep: Some(self.keep()),
            namespace: "ci".to_owned(),
            sources: BTreeMap::from([(REPO_URL.to_owned(), LocalSource::Repository(self.source().join(".git")))]),
        }
    }

    fn open(&mut self) {
        self.engine = Some(Engine::Local(LocalEngine::open(self.settings()).unwrap()));
    }

    /// A new engine over the same directory; the old one's last tasks may hold its lock for a moment.
    async fn reopen(&mut self) {
        self.engine = None;
        let opened = async {
            loop {
                match LocalEngine::open(self.settings()) {
                    Ok(engine) => return engine,
                    Err(LocalError::InUse(_)) => tokio::task::yield_now().await,
                    Err(error) => panic!("{error}"),
                }
            }
        };
        let engine = tokio::time::timeout(LONG, opened).await.expect("the lock is given up");
        self.engine = Some(Engine::Local(engine));
    }

    fn engine(&self) -> &Engine {
        self.engine.as_ref().unwrap()
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.source(), args)
    }

    /// Commits `.albatros` with this text, executable, and gives the commit.
    fn script(&self, text: &str) -> String {
        self.file(".albatros", text, 0o755)
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.source().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "change"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn order(&self, commit: &str) -> Order {
        let claim = format!("{:064x}", CLAIMS.fetch_add(1, Ordering::Relaxed));
        let meta = [
            ("REPO_URL", REPO_URL),
            ("COMMIT", commit),
            ("BRANCH", "main"),
            ("FLAVOR", "default"),
            ("REF", "refs/heads/main"),
            ("EVENT", "push"),
        ];
        Order {
            claim: claim.parse().unwrap(),
            builder: "builder".parse().unwrap(),
            meta: meta.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            payload: None,
            timeout: LONG,
            grant: Some(grant(commit)),
        }
    }

    async fn dispatch(&self, script: &str) -> BuildId {
        self.engine().dispatch(&self.order(&self.script(script))).await.unwrap()
    }

    async fn build(&self, script: &str) -> Said {
        let order = self.order(&self.script(script));
        self.build_order(&order).await
    }

    async fn build_order(&self, order: &Order) -> Said {
        let build = self.engine().dispatch(order).await.unwrap();
        self.end_of(&build).await
    }

    async fn end_of(&self, build: &BuildId) -> Said {
        let outcome = self.outcome(build).await;
        let stdout = text(&self.log(build, LogStream::Stdout).await);
        Said { stdout, stderr: text(&self.log(build, LogStream::Stderr).await), outcome }
    }

    /// Waits for hints until the build is over.
    async fn outcome(&self, build: &BuildId) -> Outcome {
        let mut hints = self.engine().hints().await;
        let ended = async {
            loop {
                if let Verdict::Ended(outcome) = self.verdict(build).await {
                    return outcome;
                }
                hints.recv().await.unwrap();
            }
        };
        tokio::time::timeout(LONG, ended).await.expect("the build ends")
    }

    async fn verdict(&self, build: &BuildId) -> Verdict {
        judge(&self.engine().observe(build).await.unwrap(), None)
    }

    async fn log(&self, build: &BuildId, stream: LogStream) -> Vec<u8> {
        self.log_of(build, "executor", stream).await
    }

    async fn log_of(&self, build: &BuildId, task: &str, stream: LogStream) -> Vec<u8> {
        let mut source = self.engine().log(build, task, stream).await.unwrap();
        let mut all = Vec::new();
        loop {
            match tokio::time::timeout(LONG, source.next()).await.expect("the log ends").unwrap() {
                LogPiece::Data(bytes) => all.extend_from_slice(&bytes),
                LogPiece::Waiting(_) => {}
                LogPiece::Gap(why) => panic!("a gap in the log: {why}"),
                LogPiece::End => return all,
                LogPiece::Never(why) => return format!("never: {why}").into_bytes(),
            }
        }
    }

    /// Waits until the build has printed this line.
    async fn printed(&self, build: &BuildId, line: &str) -> String {
        let mut source = self.engine().log(build, "executor", LogStream::Stdout).await.unwrap();
        let mut all = Vec::new();
        let seen = async {
            loop {
                match source.next().await.unwrap() {
                    LogPiece::Data(bytes) => all.extend_from_slice(&bytes),
                    LogPiece::Waiting(_) => {}
                    other => panic!("before {line:?}: {other:?} after {:?}", text(&all)),
                }
                if text(&all).lines().any(|one| one.starts_with(line)) {
                    return text(&all);
                }
            }
        };
        tokio::time::timeout(LONG, seen).await.expect("the line is printed")
    }

    fn dir(&self, build: &BuildId) -> PathBuf {
        self.data().join("builds").join(build.child())
    }
}

pub(super) fn git(dir: &Path, args: &[&str]) -> String {
    let who = ["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "commit.gpgsign=false"];
    let done = Command::new("git").args(who).args(args).current_dir(dir).output().unwrap();
    assert!(done.status.success(), "git {args:?}: {}", text(&done.stderr));
    text(&done.stdout).trim().to_owned()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The number in the line `<name> <number>`.
pub(super) fn pid(said: &str, name: &str) -> i32 {
    let line = said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} in {said:?}"));
    line.trim().parse().unwrap()
}

/// Neither there nor a zombie.
pub(super) fn is_gone(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
}

fn failed_with(exit_code: i64) -> Outcome {
    Outcome::Failure { exit_code, signal: 0 }
}

/// What a trusted build without any parameters is given.
fn grant(commit: &str) -> Grant {
    let facts = Facts {
        repo_url: REPO_URL.to_owned(),
        commit: commit.parse().unwrap(),
        branch: "main".to_owned(),
        flavor: "default".parse().unwrap(),
        git_ref: Some("refs/heads/main".to_owned()),
        event: Some(EventKind::Push),
        sender: Some("dev".to_owned()),
        pull_request: None,
        trusted: true,
    };
    Grant {
        facts,
        checkout: Checkout { source: true, submodules: false, lfs: false, credential: None },
        params: Default::default(),
        inject: None,
        job: None,
        service_secret: None,
        session: None,
    }
}

/// The same with parameters.
fn with_params(mut order: Order, inject: &str) -> Order {
    let grant = order.grant.take().unwrap();
    Order { grant: Some(Grant { inject: Some(Secret::new(inject)), ..grant }), ..order }
}
