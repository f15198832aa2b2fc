//! A runner of a forge's Actions, for one job: registered by serve, run by the forge's own program.
//!
//! ```text
//! controller ─▶ registration ─▶ files in a folder of its own ─▶ program, until it ends ─▶ nothing is left of the files
//! ```
//! What registered it never comes here. What it is registered as stands in the folder while the program runs: a workflow that
//! is run where the runner is, as its user, can read it, and be that runner until the job is over. That is all it is good for.

mod files;
mod program;
mod settings;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::Child;
use tokio::time::{Duration, Instant, sleep, sleep_until};

use super::stops::{Stops, after_signal};
use super::{SettingsError, reasons, say};
use crate::api::controller::{Controller, ControllerError};
use crate::domain::duration::Span;
use crate::domain::runner_wire::RunnerRegistration;
use program::Program;

pub use settings::RunnerSettings;

/// serve or the forge may be away for so long.
const REGISTERED_WITHIN: Duration = Duration::from_secs(5 * 60);
/// Before the controller is asked again: at first, and at most where the forge does not ask for more.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A program that was told to end, and has a job, is killed then: less than the `kill_timeout` of our builder, so that the
/// files are removed.
const GRACE: Duration = Duration::from_secs(20);

/// Why there was no runner.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The builder's variables make no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// There is no registration.
    #[error("the runner is not registered")]
    Registration(#[from] ControllerError),
    /// It is not one of `act_runner`.
    #[error("the runner's registration has no file .runner with its labels")]
    Strange,
    /// It is not installed.
    #[error(
        "there is no runner program here ({0}): install one where the builder's tasks find it, \
         or name it in ALBATROS_RUNNER_PROGRAM"
    )]
    NoProgram(String),
    /// The disk.
    #[error("the runner's files could not be written")]
    Files(#[source] std::io::Error),
    /// It does not start.
    #[error("{0} could not be started")]
    Start(String, #[source] std::io::Error),
    /// The end of the program was missed.
    #[error("the end of the runner's program was missed")]
    Wait(#[source] std::io::Error),
    /// No signals.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    /// It ended in another way than a runner that has served its job, or had none.
    #[error("{0} ended with {1}: see what it says above")]
    Failed(String, ExitStatus),
}

/// Registers a runner, runs it until it has served one job or nobody has one for it, and removes its files. The answer is
/// the exit code: 0, or that of the signal which ended it before it was registered.
///
/// # Errors
/// See [`RunnerError`].
pub async fn run(settings: &RunnerSettings, controller: &Controller) -> Result<u8, RunnerError> {
    // What runs in it shares our user: the token of this build's API is nothing for a workflow.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let mut stops = Stops::listen().map_err(RunnerError::Signals)?;
    let registration = tokio::select! {
        registration = registered(controller) => registration?,
        stop = stops.next() => return Ok(after_signal(stop)),
    };
    let program = Program::find(settings, &registration)?;
    let own = Permissions::from_mode(0o700);
    let folder = tempfile::Builder::new().prefix("runner-").permissions(own).tempdir_in(&settings.place);
    let folder = folder.map_err(RunnerError::Files)?;
    let registration = laid_out(settings, folder.path(), registration)?;
    let started = program.start(settings, folder.path(), &registration);
    let child = started.map_err(|error| RunnerError::Start(program.name(), error))?;
    let ended = until_it_ends(&program, child, settings.idle, &mut stops).await;
    if let Err(error) = folder.close() {
        say(&format!("the runner's files could not be removed: {}", reasons(&error)));
    }
    let status = ended?;
    if status.success() || stops.seen() { Ok(0) } else { Err(RunnerError::Failed(program.name(), status)) }
}

/// Asks until serve and the forge are there, and not before they want to be asked again.
async fn registered(controller: &Controller) -> Result<RunnerRegistration, ControllerError> {
    let end = Instant::now() + REGISTERED_WITHIN;
    let (mut pause, longest) = PAUSES;
    loop {
        let error = match controller.runner().await {
            Err(error) if may_pass(&error) => error,
            answered => return answered,
        };
        let wait = pause.max(error.wait().unwrap_or_default());
        if Instant::now() + wait >= end {
            // Another one is started for the job, later and later.
            return Err(error);
        }
        sleep(wait).await;
        pause = (pause * 2).min(longest);
    }
}

fn may_pass(error: &ControllerError) -> bool {
    matches!(error, ControllerError::NoAnswer(_)) || error.waiting()
}

/// Writes what its program reads.
fn laid_out(
    settings: &RunnerSettings,
    folder: &Path,
    registration: RunnerRegistration,
) -> Result<RunnerRegistration, RunnerError> {
    let RunnerRegistration::Gitea { files } = registration else { return Ok(registration) };
    let mut files = files::labelled(files, settings.image.as_deref()).ok_or(RunnerError::Strange)?;
    files.insert(files::CONFIG.to_owned(), files::config(folder));
    files::write(folder, &files).map_err(RunnerError::Files)?;
    Ok(RunnerRegistration::Gitea { files })
}

/// Waits for the program's end. A signal is handed on once, and the program killed a little later; without a job in time
/// it is told to end.
async fn until_it_ends(
    program: &Program,
    mut child: Child,
    idle: Span,
    stops: &mut Stops,
) -> Result<ExitStatus, RunnerError> {
    let pid = child.id();
    let mut limit = Some(Instant::now() + idle.get());
    let mut killed_at = None;
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(RunnerError::Wait),
            number = stops.next(), if killed_at.is_none() => {
                tell(pid, number);
                killed_at = Some(Instant::now() + GRACE);
            }
            () = at(killed_at), if killed_at.is_some() => {
                say("the runner did not end: it is killed, with the job that it has");
                // What it has started is in its group, which our own end would leave behind.
                if let Some(group) = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
                    let _ = kill_process_group(group, Signal::KILL);
                }
                child.start_kill().map_err(RunnerError::Wait)?;
                return child.wait().await.map_err(RunnerError::Wait);
            }
            () = at(limit), if limit.is_some() && killed_at.is_none() => {
                limit = None;
                if !pid.is_some_and(|pid| program.would_lose_a_job(pid)) {
                    say(&format!("after {idle} the runner takes no job any more; one that it has goes on to its end"));
                    tell(pid, Signal::TERM.as_raw());
                }
            }
        }
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// Sends a signal to the program; one that has ended is about to be noticed.
fn tell(pid: Option<u32>, number: i32) {
    let pid = pid.and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let (Some(pid), Some(signal)) = (pid, Signal::from_named_raw(number)) {
        let _ = kill_process(pid, signal);
    }
}
