//! What a build's controller asks for: its grant, once, against the proof of who it is; to keep its report; and jobs.

mod audit;
mod bearer;
pub(crate) mod blobs;
mod caller;
pub(crate) mod exchange;
pub(crate) mod jobs;
pub(crate) mod log;
mod proof;
mod refusal;
pub(crate) mod report;
pub(crate) mod runner;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use tokio::sync::{Semaphore, SemaphorePermit};

pub(crate) use exchange::exchange;
pub(crate) use log::{end as log_end, put as log_put};
pub(super) use proof::Proof;
pub(crate) use report::report;
pub(crate) use runner::runner;

use super::refusals::Refusals;
use crate::domain::id::ClaimId;
use crate::domain::job::Job;
use refusal::Refusal;

/// Controllers that are answered at once; each costs a few reads of Nomad, Consul and the forge.
const PLACES: usize = 64;
/// Controllers that wait for their jobs at once; they share what is read for them.
const WAITS: usize = 1024;
/// Ended jobs that are kept in memory: they never change, so this only saves reads.
const ENDED_JOBS: usize = 4096;

/// What all sessions share.
#[derive(Debug)]
pub(crate) struct Sessions {
    places: Semaphore,
    waits: Semaphore,
    refusals: Refusals,
    ended_jobs: Mutex<HashMap<ClaimId, Job>>,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            places: Semaphore::new(PLACES),
            waits: Semaphore::new(WAITS),
            refusals: Refusals::default(),
            ended_jobs: Mutex::default(),
        }
    }
}

impl Sessions {
    /// A place among those who are answered now.
    fn place(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.places.try_acquire().map_err(|_full| Refusal::later("busy: too many builds ask at once"))
    }

    /// A place among those who wait for their jobs.
    fn wait(&self) -> Result<SemaphorePermit<'_>, Refusal> {
        self.waits.try_acquire().map_err(|_full| Refusal::later("busy: too many builds wait for their jobs"))
    }

    fn ended_job(&self, claim: &ClaimId) -> Option<Job> {
        self.ended_jobs.lock().unwrap_or_else(PoisonError::into_inner).get(claim).cloned()
    }

    fn keep_ended_job(&self, job: &Job) {
        let mut kept = self.ended_jobs.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= ENDED_JOBS {
            kept.clear();
        }
        kept.insert(job.claim.clone(), job.clone());
    }
}
