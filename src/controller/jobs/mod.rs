//! The build's jobs: what its script asks for is put on the board, and one task keeps serve and the board in agreement.
//!
//! ```text
//! script ─▶ ask ─▶ board ◀─ keeper ─▶ serve ─▶ a build for each job
//!            └──▶ connect ─▶ the controller of a service ─▶ service ─▶ its port
//! ```

pub(super) mod ask;
pub(super) mod connect;
mod keeper;
pub(super) mod log;
mod secrets;
pub(super) mod service;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, watch};

use crate::domain::id::JobName;
use crate::domain::job::JobSpec;
use crate::domain::job::board::Board;
use crate::domain::job::graph::GraphError;
use crate::domain::job::view::Shown;
use crate::domain::secret::Secret;

pub(super) use ask::{all, make, one, own, stop};
pub(super) use connect::connect;
pub(super) use keeper::keep;
pub(super) use log::log;
pub(super) use service::{announce, serve};

/// Connections to services at once, out of one build or into one service.
const TUNNELS: usize = 64;
/// Logs that are read at once; each costs two connections.
const LOGS: usize = 16;

/// All jobs of this build.
#[derive(Debug)]
pub(crate) struct Jobs {
    board: Mutex<Board>,
    /// What the script sees of it.
    shown: watch::Sender<Shown>,
    /// How many are to stop of which serve does not know that.
    untold: watch::Sender<usize>,
    /// Where services are, and what is shown to them.
    places: Mutex<BTreeMap<JobName, Place>>,
    /// There is something to do.
    wake: Notify,
    tunnels: Arc<Semaphore>,
    logs: Arc<Semaphore>,
}

/// Where a service's controller takes connections.
#[derive(Debug, Clone)]
struct Place {
    address: String,
    secret: Secret,
}

impl Default for Jobs {
    fn default() -> Self {
        Self {
            board: Mutex::default(),
            shown: watch::channel(Shown::default()).0,
            untold: watch::channel(0).0,
            places: Mutex::default(),
            wake: Notify::new(),
            tunnels: Arc::new(Semaphore::new(TUNNELS)),
            logs: Arc::new(Semaphore::new(LOGS)),
        }
    }
}

impl Jobs {
    /// Changes the board, shows what came of it, and wakes who acts on it.
    fn change<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        let made = self.change_quietly(change);
        self.wake.notify_one();
        made
    }

    /// The same by who acts on it.
    fn change_quietly<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        let mut board = self.board();
        let made = change(&mut board);
        let views = board.views();
        self.shown.send_if_modified(|shown| {
            let news = shown.jobs != views;
            if news {
                *shown = Shown { version: shown.version + 1, jobs: views };
            }
            news
        });
        self.untold.send_replace(board.stopping().count());
        made
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        // Nothing panics while it is held.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self) -> MutexGuard<'_, BTreeMap<JobName, Place>> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, jobs: Vec<JobSpec>) -> Result<(), GraphError> {
        self.change(|board| board.add(jobs))
    }

    /// The script has ended: all that it started is to end, too.
    pub(super) fn close(&self) {
        self.change(|board| board.close("the build that started it has ended"));
    }

    /// Until serve knows of all that is to stop.
    pub(super) async fn told(&self) {
        let mut untold = self.untold.subscribe();
        // The sender lives as long as this.
        let _ = untold.wait_for(|untold| *untold == 0).await;
    }
}
