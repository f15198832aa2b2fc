//! How the trusted tasks of a build come to their controller: by a token that is there for them alone, until the script
//! starts, and by the very socket that was there then.

use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, open, openat};
use rustix::io::Errno;
use tokio::time::{Duration, Instant, sleep};

use crate::api::controller::{Controller, ControllerError};
use crate::domain::runner;
use crate::domain::secret::Secret;

/// How long the controller may take to be there: its image or its program may have to be fetched first.
const STARTS_WITHIN: Duration = Duration::from_secs(15 * 60);
/// Between two looks for its token.
const LOOK: Duration = Duration::from_millis(1);
/// The longest of those, for images that take their time.
const LONGEST_LOOK: Duration = Duration::from_millis(20);
/// Between two questions to a controller that is waiting itself.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a controller that was there may not answer at all.
const SILENT: Duration = Duration::from_secs(60);
/// How long it may be waiting: longer than it waits itself for serve and the forge.
const WAITS: Duration = Duration::from_secs(2 * 60 * 60);
/// The largest token.
const TOKEN_MOST: u64 = 4096;

/// Why there is no controller for a trusted task.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustedError {
    #[error("the build's controller has not started within {} minutes: see the log of task controller", STARTS_WITHIN.as_secs() / 60)]
    NotThere,
    #[error(
        "what the build's controller left for this task in NOMAD_ALLOC_DIR cannot be read: are both the same user?"
    )]
    Files(#[source] io::Error),
    #[error(transparent)]
    Controller(#[from] ControllerError),
}

/// Waits for the controller, and gives the way to it, which nothing that happens in `alloc_dir` later can bend.
pub(super) async fn join(alloc_dir: &Path) -> Result<Controller, TrustedError> {
    let began = Instant::now();
    let end = began + STARTS_WITHIN;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = openat(CWD, alloc_dir, flags, Mode::empty()).map_err(|error| TrustedError::Files(error.into()))?;
    let token = loop {
        match openat(&dir, runner::TRUSTED_TOKEN, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
            Ok(file) => break read(file.into()).map_err(TrustedError::Files)?,
            Err(Errno::NOENT) if Instant::now() < end => sleep((began.elapsed() / 8).clamp(LOOK, LONGEST_LOOK)).await,
            Err(Errno::NOENT) => return Err(TrustedError::NotThere),
            Err(error) => return Err(TrustedError::Files(error.into())),
        }
    };
    // The token is written last, so the socket is there.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let socket = openat(&dir, runner::TRUSTED_SOCKET, flags, Mode::empty());
    let socket = socket.map_err(|error| TrustedError::Files(error.into()))?;
    Ok(Controller::through(socket, token)?)
}

fn read(file: std::fs::File) -> io::Result<Secret> {
    let mut text = String::new();
    file.take(TOKEN_MOST).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim()))
}

/// Asks again as long as the controller is waiting itself, or for a while when it does not answer.
pub(super) async fn ask<T, F>(question: impl Fn() -> F) -> Result<T, ControllerError>
where
    F: Future<Output = Result<T, ControllerError>>,
{
    let end = Instant::now() + WAITS;
    let mut answered = Instant::now();
    loop {
        let error = match question().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let again = match &error {
            ControllerError::Refused(..) => {
                answered = Instant::now();
                error.waiting() && answered < end
            }
            ControllerError::NoAnswer(_) => answered.elapsed() < SILENT,
            ControllerError::Client(_) | ControllerError::Socket(_) | ControllerError::Strange(_) => false,
        };
        if !again {
            return Err(error);
        }
        sleep(PAUSE).await;
    }
}

/// Keeps other processes of the same user from reading this one's memory and environment.
pub(super) fn close_to_others() {
    // Where the system does not know that, the file modes and the driver are what is left.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// The directory itself, to be read later by this descriptor alone.
pub(super) fn directory(path: &Path) -> io::Result<rustix::fd::OwnedFd> {
    Ok(open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}
