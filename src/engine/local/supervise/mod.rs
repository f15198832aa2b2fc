//! A build's parent: one process a build, between the engine and `albatros exec`.
//!
//! It is a child subreaper, so whatever the build starts stays below it, daemons too. Its standard input is a pipe from
//! whoever started it: when that closes, because the build is cancelled or because the other end is dead, all of the
//! build is ended. The last thing it does is to write how the build ended.

mod descendants;
mod ending;

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub(crate) use descendants::{Identity, end_strays};
pub(super) use ending::{Ending, Why};

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
    /// The build's directory: `stdout` and `stderr` are appended there, `ending.json` is written there.
    pub dir: PathBuf,
    /// The longest the build may run.
    pub limit: Duration,
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

/// Runs `albatros exec` below this process until nothing of the build is left, and writes down how it ended.
///
/// # Errors
/// When the build could not be looked after; its directory then has no ending, which reads as lost.
pub async fn run(settings: &SuperviseSettings) -> Result<(), SuperviseError> {
    let ending = Supervisor::start(settings).map_err(SuperviseError::Setup)?.run().await;
    // The engine clears the rest; secrets do not wait for it, should it be dead.
    let kept = super::rooms::clear_secrets(&settings.dir);
    ending.write(&settings.dir).and(kept).map_err(SuperviseError::Write)
}

struct Supervisor {
    executor: Option<Pid>,
    started: Timestamp,
    deadline: Instant,
    children: Signals,
    term: Signals,
    int: Signals,
    owner: pipe::Receiver,
    logs: Vec<tokio::sync::oneshot::Receiver<()>>,
    failed: Option<String>,
    status: Option<WaitStatus>,
}

impl Supervisor {
    fn start(settings: &SuperviseSettings) -> io::Result<Self> {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        let children = signal(SignalKind::child())?;
        let (term, int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let owner = pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
        let mut this = Self {
            executor: None,
            started: Timestamp::now(),
            deadline: Instant::now() + settings.limit,
            children,
            term,
            int,
            owner,
            logs: Vec::new(),
            failed: None,
            status: None,
        };
        if let Err(error) = this.spawn(&settings.dir) {
            this.failed = Some(error.to_string());
        }
        Ok(this)
    }

    /// The executor is waited for by [`Supervisor::reap`] along with every orphan, never through its handle.
    fn spawn(&mut self, dir: &Path) -> io::Result<()> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("albatros").arg("exec").current_dir(dir).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        self.executor = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        // A script that opens /dev/stdout would empty a file; a pipe cannot be emptied.
        if let Some(pipe) = child.stdout.take() {
            self.logs.push(copy(pipe, File::create(dir.join("stdout"))?));
        }
        if let Some(pipe) = child.stderr.take() {
            self.logs.push(copy(pipe, File::create(dir.join("stderr"))?));
        }
        Ok(())
    }

    async fn run(mut self) -> Ending {
        let why = match &self.failed {
            Some(_) => Why::NotStarted,
            None => self.first_reason().await,
        };
        match why {
            Why::Exited => {
                if self.reap() {
                    descendants::signal_all(Signal::TERM);
                    self.wait_until_none(LEFT_BEHIND).await;
                }
            }
            Why::Stopped | Why::Timeout => {
                if let Some(executor) = self.executor.filter(|_| self.status.is_none()) {
                    // Not reaped yet, so the number is still its own.
                    let _ = rustix::process::kill_process(executor, Signal::TERM);
                }
                self.wait_until_none(GRACE).await;
            }
            Why::NotStarted => {}
        }
        while self.reap() {
            descendants::freeze_and_kill();
            sleep(LOOK).await;
        }
        for log in std::mem::take(&mut self.logs) {
            let _ = timeout(LAST_BYTES, log).await;
        }
        Ending::new(why, self.started, Timestamp::now(), self.status).because(self.failed)
    }

    /// What comes first: the executor's end, the owner's word or death, or the limit.
    async fn first_reason(&mut self) -> Why {
        let mut byte = [0];
        loop {
            // An executor that has ended has ended, whatever else happens at the same moment.
            self.reap();
            if self.status.is_some() {
                return Why::Exited;
            }
            tokio::select! {
                _ = self.children.recv() => {}
                _ = self.owner.read(&mut byte) => return Why::Stopped,
                _ = self.term.recv() => return Why::Stopped,
                _ = self.int.recv() => return Why::Stopped,
                () = sleep_until(self.deadline) => return Why::Timeout,
            }
        }
    }

    async fn wait_until_none(&mut self, most: Duration) {
        let end = Instant::now() + most;
        while Instant::now() < end {
            if !self.reap() {
                return;
            }
            tokio::select! {
                _ = self.children.recv() => {}
                () = sleep(LOOK) => {}
            }
        }
    }

    /// Takes every child that has ended, the executor's status among them; says whether any is left.
    fn reap(&mut self) -> bool {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if Some(pid) == self.executor => self.status = Some(status),
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return true,
                Err(_no_child) => return false,
            }
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
