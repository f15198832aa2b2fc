//! Role `sidecar`: beside the script, keeps the build's files from filling the disk (no driver of Nomad does).
//!
//! It looks at what the files in `$NOMAD_ALLOC_DIR` occupy: every second, less often where a look takes long, and at
//! once when the file system has grown by as much as was left. What it cannot look into (directories without
//! permissions, very deep ones) is not forgotten: as long as there is such a thing, what the file system has grown by
//! since the build began, and what is not seen elsewhere, counts as the build's. That is never less than what is
//! hidden, unless others have freed as much. Files that were removed but are still open are not seen. A directory that
//! was closed to us before the script began is not the script's: Nomad's exec driver keeps one there. Of a build in a
//! machine what comes out of that is not the build's until it is in place, where it takes the place of what was there:
//! for that moment both are on the disk.

mod settings;
mod size;
mod walk;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::fstatvfs;
use tokio::time::{Duration, Instant, MissedTickBehavior, interval, sleep};

use super::log::{Logs, Over};
use super::stops::Stops;
use super::trusted::{self, TrustedError};
use super::{reasons, saves, say};
use crate::api::controller::{Controller, ControllerError};
use crate::domain::runner::Ended;
use size::Size;
use walk::{LeftOut, Seen, closed, measure};

pub use settings::{WatchSettings, WatchSettingsError};

/// Between two looks, at least and at most.
const REST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A look may take this part of the time: one of so many.
const SHARE: u32 = 10;
/// How often the file system's own count is read, which costs nothing.
const TICK: Duration = Duration::from_millis(200);
/// For so many looks on end there must be something that cannot be looked into before it is taken to be large.
const CLOSED_LOOKS: u32 = 3;
/// How often the controller is asked whether it is still there.
const CALL: Duration = Duration::from_secs(60);

/// Why nothing was watched.
#[derive(Debug, thiserror::Error)]
enum WatchError {
    #[error("NOMAD_ALLOC_DIR cannot be looked at")]
    Open(#[source] io::Error),
    #[error(transparent)]
    Trusted(#[from] TrustedError),
    #[error("the build's controller does not let the sidecar attach")]
    Attach(#[source] ControllerError),
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
    #[error("the size of the build's files cannot be measured")]
    Look,
}

impl WatchError {
    fn ended(&self) -> Ended {
        match self {
            Self::Trusted(TrustedError::NotThere | TrustedError::Controller(_)) | Self::Attach(_) => Ended::NoAnswer,
            Self::Open(_) | Self::Trusted(TrustedError::Files(_)) | Self::Signals(_) | Self::Look => {
                Ended::WrongSettings
            }
        }
    }
}

/// Watches until it is told to end (0), or until the build's files have outgrown their limit; the answer is the
/// process's exit code.
pub async fn run(settings: &WatchSettings) -> u8 {
    trusted::close_to_others();
    let done = match Stops::listen() {
        Ok(stops) => steps(settings, stops).await,
        Err(error) => Err(WatchError::Signals(error)),
    };
    match done {
        Ok(End::Told) => 0,
        Ok(End::Outgrown(sentence)) => {
            say(&sentence);
            Ended::DiskFull.code()
        }
        Err(error) => {
            say(&reasons(&error));
            error.ended().code()
        }
    }
}

/// Why a watch has ended.
enum End {
    /// The script has ended, and Nomad says so.
    Told,
    /// What has outgrown what.
    Outgrown(String),
}

async fn steps(settings: &WatchSettings, mut stops: Stops) -> Result<End, WatchError> {
    // Before the script starts there is nothing in it that could mislead us, and later no path is looked up.
    let root = trusted::directory(&settings.alloc_dir).map_err(WatchError::Open)?;
    let (mut files, logs) = (Files::new(root, settings.machine)?, Logs::open(&settings.alloc_dir));
    let attached = async {
        let controller = trusted::join(&settings.alloc_dir).await?;
        trusted::ask(|| controller.attach()).await.map_err(WatchError::Attach)?;
        Ok::<_, WatchError>(controller)
    };
    let controller = tokio::select! {
        controller = attached => controller?,
        _signal = stops.next() => return Ok(End::Told),
    };
    let over = Over::default();
    let alloc = Arc::clone(&files.root);
    let archive = logs.keep(&controller, over.clone());
    let watch = async {
        let ended = tokio::select! {
            never = still_there(&controller) => match never {},
            never = saves::run(&controller, alloc) => match never {},
            outgrown = outgrow(&mut files, settings.limit) => outgrown.map(End::Outgrown),
            _signal = stops.next() => Ok(End::Told),
        };
        if !matches!(ended, Ok(End::Told)) {
            over.hurry.cancel();
        }
        over.script.cancel();
        ended
    };
    // The script has ended, or is about to: the rest of its log is taken, within a bound of its own.
    tokio::join!(watch, archive).0
}

async fn outgrow(files: &mut Files, limit: Option<Size>) -> Result<String, WatchError> {
    match limit {
        Some(limit) => files.outgrow(limit).await,
        None => std::future::pending().await,
    }
}

/// Says so, once, when the controller is gone; what is to be watched is watched all the same.
async fn still_there(controller: &Controller) -> std::convert::Infallible {
    let mut gone = false;
    loop {
        sleep(CALL).await;
        let silent = matches!(controller.build().await, Err(ControllerError::NoAnswer(_)));
        if silent && !gone {
            say("the build's controller does not answer any more");
        }
        gone = silent;
    }
}

/// The build's files, and how full their file system was in the beginning.
#[derive(Debug)]
struct Files {
    root: Arc<OwnedFd>,
    left_out: Arc<LeftOut>,
    /// What was seen at first, and how much of the file system was used then.
    first: (u64, u64),
    closed_looks: u32,
}

/// One look.
#[derive(Debug, Clone, Copy)]
struct Look {
    bytes: u64,
    /// Of these: what is not seen and can be nowhere else.
    hidden: u64,
    used: u64,
    took: Duration,
}

impl Files {
    fn new(root: OwnedFd, machine: bool) -> Result<Self, WatchError> {
        let left_out = LeftOut { closed: closed(&root), drafts: machine };
        let seen = measure(&root, u64::MAX, &left_out);
        let first = (seen.bytes, used(&root).map_err(WatchError::Open)?);
        Ok(Self { root: Arc::new(root), left_out: Arc::new(left_out), first, closed_looks: 0 })
    }

    async fn outgrow(&mut self, limit: Size) -> Result<String, WatchError> {
        loop {
            let look = self.look(limit).await?;
            if look.bytes > limit.0 {
                return Ok(sentence(&look, limit));
            }
            self.rest(&look, limit).await;
        }
    }

    async fn look(&mut self, limit: Size) -> Result<Look, WatchError> {
        let (done, wait) = tokio::sync::oneshot::channel();
        let (root, left_out) = (Arc::clone(&self.root), Arc::clone(&self.left_out));
        // Not the runtime's own threads: the process must not wait for a walk when it is told to end.
        let started = std::thread::Builder::new().name("look".to_owned()).spawn(move || {
            let begun = Instant::now();
            let seen = measure(&*root, limit.0, &left_out);
            let _ = done.send((seen, used(&root), begun.elapsed()));
        });
        started.map_err(WatchError::Open)?;
        let (seen, used, took) = wait.await.map_err(|_gone| WatchError::Look)?;
        let used = used.map_err(WatchError::Open)?;
        self.closed_looks = if seen.closed > 0 { self.closed_looks.saturating_add(1) } else { 0 };
        let hidden = if self.closed_looks >= CLOSED_LOOKS { self.hidden(seen, used) } else { 0 };
        Ok(Look { bytes: seen.bytes.saturating_add(hidden), hidden, used, took })
    }

    /// What the file system has grown by and nobody has seen.
    fn hidden(&self, seen: Seen, used: u64) -> u64 {
        let (seen_first, used_first) = self.first;
        used.saturating_sub(used_first).saturating_sub(seen.bytes.saturating_sub(seen_first))
    }

    /// Until the next look is worth its while.
    async fn rest(&self, look: &Look, limit: Size) {
        let (least, most) = REST;
        let begun = Instant::now();
        let left = limit.0.saturating_sub(look.bytes);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let rested = begun.elapsed();
            let grown = used(&self.root).unwrap_or(u64::MAX).saturating_sub(look.used);
            if rested >= (look.took * SHARE).clamp(least, most) || (grown > left && rested > look.took) {
                return;
            }
        }
    }
}

/// What is used of the file system, in bytes.
fn used(root: &OwnedFd) -> io::Result<u64> {
    let system = fstatvfs(root)?;
    Ok(system.f_blocks.saturating_sub(system.f_bfree).saturating_mul(system.f_frsize))
}

fn sentence(look: &Look, limit: Size) -> String {
    let mut text = format!("the build's files hold {}, more than the limit of {limit}", Size(look.bytes));
    if look.hidden > 0 {
        text.push_str(&format!(
            ": {} of it is what the file system has grown by, while there are directories that cannot be looked into",
            Size(look.hidden)
        ));
    }
    text
}
