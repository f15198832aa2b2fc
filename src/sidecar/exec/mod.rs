//! Role `exec`: a clean environment, `.albatros` in the workspace, and its exit code handed on.
//!
//! ```text
//! settings ─▶ network ─▶ group, or checkout ─▶ environment ─▶ script ─▶ finish ─▶ exit code
//! ```
//! In a runner group `prepare` has made the workspace and the controller gives the parameters; a builder with nothing
//! but an executor has its checkout made here.

mod blobs;
mod container;
mod environment;
mod group;
mod network;
mod script;
mod service;
mod settings;

use std::path::PathBuf;

use tokio::time::{Duration, Instant, sleep_until};

use super::stops::{Stops, after_signal};
use super::{checkout, reasons, say};
use container::Ready;
use script::Work;
use service::Relay;

pub(super) use group::{Group, GroupError, patiently};
pub use network::isolate;
pub(super) use service::socket as service_socket;
pub use settings::{DEFAULT_PATH, ExecSettings};

/// What `exec` itself ends with when it cannot get as far as the script.
pub const NOT_PREPARED: u8 = 125;

/// A container lives at least so long: seen, that Nomad's docker driver loses the log of one that is gone before its
/// logger has come.
const LOG_TAKEN_WITHIN: Duration = Duration::from_secs(2);

/// Why the script was not run to its end.
#[derive(Debug, thiserror::Error)]
enum ExecError {
    #[error(transparent)]
    Checkout(#[from] checkout::CheckoutError),
    #[error(transparent)]
    Group(#[from] group::GroupError),
    #[error(transparent)]
    Network(#[from] network::NetworkError),
    #[error("the build's directories could not be made")]
    Directories(#[source] std::io::Error),
    #[error(transparent)]
    Container(#[from] container::ContainerError),
    #[error(transparent)]
    Blobs(#[from] blobs::BlobsError),
    #[error(transparent)]
    Script(#[from] script::ScriptError),
    #[error("port {0} of this machine is taken: on one machine a service has it for itself")]
    Taken(u16, #[source] std::io::Error),
    #[error("the socket of the service could not be made in NOMAD_ALLOC_DIR")]
    Service(#[source] std::io::Error),
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    #[error("stopped before the script was started")]
    Stopped(i32),
}

impl ExecError {
    fn code(&self) -> u8 {
        match self {
            Self::Checkout(_)
            | Self::Group(_)
            | Self::Network(_)
            | Self::Directories(_)
            | Self::Blobs(_)
            | Self::Container(_)
            | Self::Taken(..)
            | Self::Service(_)
            | Self::Signals(_) => NOT_PREPARED,
            Self::Script(error) => error.code(),
            Self::Stopped(signal) => after_signal(*signal),
        }
    }
}

/// Runs a build's script; the answer is the process's exit code. What went wrong is said on standard error.
pub async fn run(settings: &ExecSettings) -> u8 {
    let begun = Instant::now();
    // The script shares our user: without this it could read from /proc what Nomad gave to us and not to it.
    // Where the system does not know that, the script is run all the same.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    let mut stops = match Stops::listen() {
        Ok(stops) => stops,
        Err(error) => return failed(&ExecError::Signals(error)),
    };
    let code = steps(settings, &mut stops).await.unwrap_or_else(|error| failed(&error));
    if settings.of_image && settings.finish && !stops.seen() {
        tokio::select! {
            () = sleep_until(begun + LOG_TAKEN_WITHIN) => {}
            _ = stops.next() => {}
        }
    }
    code
}

fn failed(error: &ExecError) -> u8 {
    say(&reasons(error));
    error.code()
}

async fn steps(settings: &ExecSettings, stops: &mut Stops) -> Result<u8, ExecError> {
    let (workspace, group) = tokio::select! {
        ready = prepared(settings) => ready?,
        stop = stops.next() => return Err(ExecError::Stopped(stop)),
    };
    let environment = environment::of(settings, group.as_ref()).map_err(ExecError::Directories)?;
    let container = tokio::select! {
        ready = contained(settings) => ready?,
        stop = stops.next() => return Err(ExecError::Stopped(stop)),
    };
    let job = group.as_ref().and_then(Group::job);
    let work = Work::of(job, &settings.commit, &settings.task_dir)?;
    if let Some(job) = job {
        tokio::select! {
            brought = blobs::bring(job, &workspace, &environment) => brought?,
            stop = stops.next() => return Err(ExecError::Stopped(stop)),
        }
    }
    let port = job.and_then(|job| job.port);
    if let Some(port) = port.filter(|_| settings.shared_loopback) {
        service::check_free(port).map_err(|error| ExecError::Taken(port, error))?;
    }
    let relay = port.map(|port| Relay::start(&settings.alloc_dir, port)).transpose().map_err(ExecError::Service)?;
    let ended = script::run(&workspace, &work, (&environment, container.as_ref()), stops).await;
    drop(relay);
    let Some(group) = group.filter(|_| settings.finish) else { return Ok(ended?) };
    let code = ended.as_ref().map_or_else(script::ScriptError::code, |code| *code);
    let finished = group.finish(code, stops).await;
    ended?;
    Ok(finished)
}

/// The container that the script is run in, once its image is there.
async fn contained(settings: &ExecSettings) -> Result<Option<Ready<'_>>, ExecError> {
    if let Some(why) = &settings.no_container {
        say(why);
    }
    match &settings.container {
        Some(told) => Ok(Some(Ready::make(told, settings).await?)),
        None => Ok(None),
    }
}

/// The workspace, and the group it was made in.
async fn prepared(settings: &ExecSettings) -> Result<(PathBuf, Option<Group>), ExecError> {
    let workspace = settings.workspace();
    let group = Group::join(settings).await?;
    if group.is_none() {
        settings.network.check_checkout(&settings.source)?;
        checkout::make(&settings.plan()).await?;
    }
    Ok((workspace, group))
}
