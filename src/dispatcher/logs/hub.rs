//! All logs that are being read: one spool each, and bounds for all of them together.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::feed;
use super::spool::{Ending, Room, Seat, Spool};
use crate::domain::ansi::Layout;
use crate::domain::id::BuildId;
use crate::engine::{EngineError, LogSource, LogStream};

/// Which log.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct LogKey {
    /// The build.
    pub(super) build: BuildId,
    /// The task.
    pub(super) task: &'static str,
    /// The stream.
    pub(super) stream: LogStream,
    /// Both streams in one, whatever `stream` is.
    pub(super) both: bool,
    /// With the time of each line.
    pub(super) times: bool,
}

impl LogKey {
    /// What stands before each of its lines.
    pub(super) fn layout(&self) -> Layout {
        Layout { times: self.times, both: self.both }
    }
}

/// Where a log comes from, and how its build's end is learned; neither starts before it is awaited.
pub(super) struct Upstream {
    /// Opens the engine's stream.
    pub(super) source: BoxFuture<'static, Result<LogSource, EngineError>>,
    /// Awaited once the stream has ended: ends with the build.
    pub(super) ending: BoxFuture<'static, Ending>,
}

/// How much a hub holds, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Readers at once, of all logs: half of the connections that [`listen`](crate::dispatcher::listen) takes, so that
    /// those who read logs, however slowly, never keep a hook out.
    pub(super) readers: usize,
    /// Engine streams at once. A Nomad agent takes 100 connections from one client, and our other calls need room.
    pub(super) upstreams: usize,
    /// Spools at once, each of which is an open file.
    pub(super) spools: usize,
    /// Bytes of all spools together.
    pub(super) bytes: u64,
    /// A running log without readers is given up after this: long enough for a reader that reconnects.
    pub(super) idle: Duration,
    /// An ended log stays this long after its last reader, for the next who follows the same link.
    pub(super) linger: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            readers: 2048,
            upstreams: 60,
            spools: 256,
            bytes: 4 << 30,
            idle: Duration::from_secs(10),
            linger: Duration::from_secs(60),
        }
    }
}

/// Why a log cannot be read now.
#[derive(Debug, thiserror::Error)]
pub(super) enum JoinError {
    /// As many logs as may be are being read.
    #[error("busy: {0} other logs are being read here; try again in a minute")]
    Busy(usize),
    /// As many readers as may be are here.
    #[error("busy: {0} readers are at logs here; try again in a minute")]
    Crowded(usize),
    /// The folder for spools does not take a file.
    #[error("the log cannot be spooled")]
    Spool(#[source] std::io::Error),
}

/// All logs that are being read by this replica.
#[derive(Debug, Clone)]
pub(crate) struct LogHub(Arc<Hub>);

#[derive(Debug)]
struct Hub {
    folder: PathBuf,
    limits: Limits,
    room: Arc<Room>,
    places: Arc<Semaphore>,
    spools: Mutex<HashMap<LogKey, Arc<Spool>>>,
    shutdown: CancellationToken,
}

impl LogHub {
    /// A hub that spools in `folder` and ends all its readers on `shutdown`.
    pub(crate) fn new(folder: PathBuf, shutdown: CancellationToken) -> Self {
        Self::with_limits(folder, shutdown, Limits::default())
    }

    pub(super) fn with_limits(folder: PathBuf, shutdown: CancellationToken, limits: Limits) -> Self {
        let (room, places) = (Room::new(limits.bytes), Arc::new(Semaphore::new(limits.readers)));
        Self(Arc::new(Hub { folder, limits, room, places, spools: Mutex::default(), shutdown }))
    }

    /// A place at a log: at its spool if somebody reads it already, else at a new one that `upstream` fills.
    pub(super) fn join(&self, key: &LogKey, upstream: Upstream) -> Result<Seat, JoinError> {
        let place = Arc::clone(&self.0.places).try_acquire_owned();
        let place = place.map_err(|_none_left| JoinError::Crowded(self.0.limits.readers))?;
        let mut spools = self.spools();
        if let Some(spool) = spools.get(key) {
            return Ok(Seat::take(Arc::clone(spool), place));
        }
        let open = spools.values().filter(|spool| spool.is_open()).count();
        if open >= self.0.limits.upstreams && !give_up_one(&mut spools, Spool::is_open) {
            return Err(JoinError::Busy(open));
        }
        if spools.len() >= self.0.limits.spools && !give_up_one(&mut spools, |_any| true) {
            return Err(JoinError::Busy(spools.len()));
        }
        let spool = Spool::create(&self.0.folder, Arc::clone(&self.0.room)).map_err(JoinError::Spool)?;
        spools.insert(key.clone(), Arc::clone(&spool));
        let seat = Seat::take(Arc::clone(&spool), place);
        drop(spools);
        tokio::spawn(feed::run(self.clone(), key.clone(), spool, upstream));
        Ok(seat)
    }

    /// Readers, and streams open at the engine, now.
    pub(crate) fn load(&self) -> (usize, usize) {
        let spools = self.spools();
        let readers = spools.values().map(|spool| spool.readers()).sum();
        (readers, spools.values().filter(|spool| spool.is_open()).count())
    }

    pub(super) fn limits(&self) -> Limits {
        self.0.limits
    }

    pub(super) fn shutdown(&self) -> &CancellationToken {
        &self.0.shutdown
    }

    /// Frees the room of all logs that nobody reads; says whether there was one.
    pub(super) fn make_room(&self) -> bool {
        let mut spools = self.spools();
        let mut any = false;
        while give_up_one(&mut spools, |_any| true) {
            any = true;
        }
        any
    }

    /// Takes a spool off the list unless somebody has come to read it meanwhile.
    pub(super) fn retire(&self, key: &LogKey, spool: &Arc<Spool>) -> bool {
        let mut spools = self.spools();
        if !spool.is_idle() {
            return false;
        }
        remove(&mut spools, key, spool);
        true
    }

    /// Takes a spool off the list, so that the next reader tries anew; those who have it keep it.
    pub(super) fn forget(&self, key: &LogKey, spool: &Arc<Spool>) {
        remove(&mut self.spools(), key, spool);
    }

    /// Whether a log is on the list.
    #[cfg(test)]
    pub(super) fn has(&self, key: &LogKey) -> bool {
        self.spools().contains_key(key)
    }

    fn spools(&self) -> MutexGuard<'_, HashMap<LogKey, Arc<Spool>>> {
        self.0.spools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn remove(spools: &mut HashMap<LogKey, Arc<Spool>>, key: &LogKey, spool: &Arc<Spool>) {
    if spools.get(key).is_some_and(|listed| Arc::ptr_eq(listed, spool)) {
        spools.remove(key);
    }
}

/// Lets one spool without readers go, of those that `fits`; its room and its place are free at once.
fn give_up_one(spools: &mut HashMap<LogKey, Arc<Spool>>, fits: impl Fn(&Spool) -> bool) -> bool {
    let idle = spools.iter().find(|(_, spool)| spool.is_idle() && fits(spool)).map(|(key, _)| key.clone());
    let Some(spool) = idle.and_then(|key| spools.remove(&key)) else { return false };
    spool.given_up.cancel();
    spool.release();
    true
}
