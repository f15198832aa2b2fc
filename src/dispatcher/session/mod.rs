//! What a build's controller asks for: its grant, once, against the proof of who it is; and to keep its report.

mod audit;
mod bearer;
pub(crate) mod blobs;
mod caller;
mod exchange;
mod log;
mod proof;
mod refusal;
mod report;

use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use exchange::exchange;
pub(crate) use log::{end as log_end, put as log_put};
pub(crate) use report::report;

use super::refusals::Refusals;
pub(super) use proof::Proof;

use refusal::Refusal;

/// Controllers that are answered at once; each costs a few reads of Nomad, Consul and the forge.
const PLACES: usize = 64;

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Sessions {
    places: Semaphore,
    refusals: Refusals,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { places: Semaphore::new(PLACES), refusals: Refusals::default() }
    }
}

impl Sessions {
    /// A place among those who are answered now.
    fn place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.places.try_acquire().map_err(|_full| Refusal::later("busy: too many builds ask at once"))
    }
}
