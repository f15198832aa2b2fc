//! A build's parent: one process a build, between the engine and the build's tasks.
//!
//! ```text
//! engine ──grant──▶ supervise ──grant──▶ controller ┐
//!    ▲                  │                 sidecar    ├─▶ prepare ends ─▶ exec ─▶ .albatros
//!    └──"it runs"───────┘                 prepare   ┘
//! ```
//! It is a child subreaper, so whatever the build starts stays below it, daemons too. Its standard input is a pipe from
//! whoever started it: when that closes, because the build is cancelled or because the other end is dead, all of the
//! build is ended. The last thing it does is to write how the build ended.

mod contained;
mod descendants;
mod ending;
mod owner;
mod task;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{DumpableBehavior, Signal};
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::task::Tasks;
use super::rooms;
use crate::domain::outcome::EXECUTOR;
use crate::domain::runner::{CONTROLLER, PREPARE, SIDECAR};

pub(crate) use descendants::{Identity, end_strays};
pub(super) use ending::{Ending, TaskEnd, Why};
pub(super) use owner::Length;

/// How long a build has to end by itself after a TERM; Nomad's default kill timeout.
pub(super) const GRACE: Duration = Duration::from_secs(5);
/// How long what a script left behind has, after its TERM.
const LEFT_BEHIND: Duration = Duration::from_millis(500);
/// How long the last bytes of a log may take once nothing of the build is left to write any.
const LAST_BYTES: Duration = Duration::from_secs(2);
/// Between two looks for what is still alive.
const LOOK: Duration = Duration::from_millis(10);

/// What a supervisor was told.
#[derive(Debug, Clone)]
pub struct SuperviseSettings {
    /// The build's directory: logs and `ending.json` are written there.
    pub dir: PathBuf,
    /// The longest the script may run, and before that the longest its workspace may take.
    pub limit: Duration,
    /// What the tasks are given of, each its own part.
    pub vars: Vec<(OsString, OsString)>,
}

/// Why a build was not supervised.
#[derive(Debug, thiserror::Error)]
pub enum SuperviseError {
    /// The system refused something that is needed before anything can be started.
    #[error("the build's supervisor cannot work here")]
    Setup(#[source] io::Error),
    /// How the build ended could not be written down.
    #[error("the build's end could not be written down")]
    Write(#[source] io::Error),
}

/// Runs the build's tasks below this process until nothing of the build is left, and writes down how it ended.
///
/// # Errors
/// When the build could not be looked after; its directory then has no ending, which reads as lost.
pub async fn run(settings: &SuperviseSettings) -> Result<(), SuperviseError> {
    let ending = Supervisor::start(settings).map_err(SuperviseError::Setup)?.run().await;
    // The engine clears the rest; secrets do not wait for it, should it be dead.
    let kept = rooms::clear_secrets(&settings.dir);
    ending.write(&settings.dir).and(kept).map_err(SuperviseError::Write)
}

struct Supervisor<'a> {
    settings: &'a SuperviseSettings,
    tasks: Tasks,
    deadline: Instant,
    children: Signals,
    term: Signals,
    int: Signals,
    /// Ends when the owner does; none where nothing was started.
    owner: Option<JoinHandle<()>>,
    logs: Vec<tokio::sync::oneshot::Receiver<()>>,
    failed: Option<String>,
    culprit: Option<&'static str>,
}

impl<'a> Supervisor<'a> {
    fn start(settings: &'a SuperviseSettings) -> io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        // The grant comes through this process, and the script shares its user. Where the system does not know that, the
        // build runs all the same.
        let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
        let children = signal(SignalKind::child())?;
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let owner = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        let mut this = Self {
            settings,
            tasks: Tasks::default(),
            deadline: Instant::now() + settings.limit,
            children,
            term,
            int,
            owner: None,
            logs: Vec::new(),
            failed: None,
            culprit: None,
        };
        if let Err(error) = this.start_first(owner) {
            this.failed = Some(error.to_string());
        }
        Ok(this)
    }

    /// What comes before the script, all at once, as in Nomad: who needs another waits for it.
    fn start_first(&mut self, owner: pipe::Receiver) -> io::Result<()> {
        let SuperviseSettings { dir, vars, .. } = self.settings;
        let mut controller = self.tasks.start(CONTROLLER, dir, vars)?;
        let stdin = controller.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        self.owner = Some(tokio::spawn(owner::until_gone(owner, stdin)));
        self.tasks.start(SIDECAR, dir, vars)?;
        self.tasks.start(PREPARE, dir, vars)?;
        self.note()
    }

    fn start_executor(&mut self) -> io::Result<()> {
        let SuperviseSettings { dir, vars, limit } = self.settings;
        let mut executor = self.tasks.start(EXECUTOR, dir, vars)?;
        self.deadline = Instant::now() + *limit;
        if let Some(pipe) = executor.stdout.take() {
            self.logs.push(copy(pipe, File::create(dir.join(rooms::log_file(EXECUTOR, "stdout")))?));
        }
        if let Some(pipe) = executor.stderr.take() {
            self.logs.push(copy(pipe, File::create(dir.join(rooms::log_file(EXECUTOR, "stderr")))?));
        }
        if let Some(task) = self.tasks.get(EXECUTOR) {
            // An engine that is gone has closed the other pipe too.
            let _ = writeln!(io::stdout(), "{}", task.started);
        }
        self.note()
    }

    /// Leaves word of who the tasks are, should this process be killed.
    fn note(&self) -> io::Result<()> {
        descendants::note(&self.settings.dir, &self.tasks.identities())
    }

    async fn run(mut self) -> Ending {
        let why = self.first_reason().await;
        if matches!(why, Why::Stopped | Why::Timeout | Why::Sibling) {
            self.tasks.signal(PREPARE, Signal::TERM);
            self.tasks.signal(EXECUTOR, Signal::TERM);
            self.wait_for_the_script(GRACE).await;
        }
        if self.tasks.reap() {
            descendants::signal_all(Signal::TERM);
            self.wait_until_none(LEFT_BEHIND).await;
        }
        while self.tasks.reap() {
            descendants::freeze_and_kill();
            sleep(LOOK).await;
        }
        contained::remove(&self.settings.vars).await;
        for log in std::mem::take(&mut self.logs) {
            let _ = timeout(LAST_BYTES, log).await;
        }
        Ending { culprit: self.culprit.map(str::to_owned), error: self.failed, ..Ending::of(why, &self.tasks) }
    }

    /// What comes first: a task's end, the owner's word or death, or the limit.
    async fn first_reason(&mut self) -> Why {
        loop {
            // A task that has ended has ended, whatever else happens at the same moment.
            self.tasks.reap();
            if let Some(why) = self.step() {
                return why;
            }
            let Some(owner) = &mut self.owner else { return Why::NotStarted };
            tokio::select! {
                _ = self.children.recv() => {}
                _ = owner => return Why::Stopped,
                _ = self.term.recv() => return Why::Stopped,
                _ = self.int.recv() => return Why::Stopped,
                () = sleep_until(self.deadline) => return Why::Timeout,
            }
        }
    }

    /// What the ends of tasks mean; starts the executor when it is its turn. Controller and sidecar outlive the script, so
    /// where one of them is dead as well the script has killed it, or went on without it: that is not to look green.
    fn step(&mut self) -> Option<Why> {
        if self.failed.is_some() {
            return Some(Why::NotStarted);
        }
        let ended = |name| self.tasks.get(name).and_then(|task| task.ended).map(|(_, status)| status.exit_status());
        let prepared = ended(PREPARE);
        self.culprit = [CONTROLLER, SIDECAR].into_iter().find(|name| ended(name).is_some());
        self.culprit = self.culprit.or_else(|| prepared.filter(|code| *code != Some(0)).map(|_code| PREPARE));
        if self.culprit.is_some() {
            return Some(Why::Sibling);
        }
        if prepared.is_some() && self.tasks.get(EXECUTOR).is_none() {
            self.failed = self.start_executor().err().map(|error| error.to_string());
            return self.failed.is_some().then_some(Why::NotStarted);
        }
        ended(EXECUTOR).map(|_code| Why::Exited)
    }

    /// Until only the tasks are left that outlive the script.
    async fn wait_for_the_script(&mut self, most: Duration) {
        let end = Instant::now() + most;
        while Instant::now() < end {
            self.tasks.reap();
            if !descendants::any_but(&self.tasks.running(&[CONTROLLER, SIDECAR])) {
                return;
            }
            self.moment().await;
        }
    }

    async fn wait_until_none(&mut self, most: Duration) {
        let end = Instant::now() + most;
        while Instant::now() < end {
            if !self.tasks.reap() {
                return;
            }
            self.moment().await;
        }
    }

    /// Until a child ends, or until the next look.
    async fn moment(&mut self) {
        tokio::select! {
            _ = self.children.recv() => {}
            () = sleep(LOOK) => {}
        }
    }
}

/// Copies on a thread of its own, so that no wait of the supervisor stops a log; says when all has been written.
fn copy(mut from: impl io::Read + Send + 'static, mut to: File) -> tokio::sync::oneshot::Receiver<()> {
    let (done, wait) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        if io::copy(&mut from, &mut to).is_err() {
            // A full disk must not block the build: the rest is read and dropped.
            let _ = io::copy(&mut from, &mut io::sink());
        }
        let _ = done.send(());
    });
    wait
}
