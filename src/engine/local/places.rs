//! How much runs at once.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::build::Job;
use super::{Build, LocalSettings};

/// Places of builds and of their jobs, apart: a build that waits for its jobs would otherwise keep them from starting.
#[derive(Debug)]
pub(super) struct Places {
    builds: Semaphore,
    jobs: Semaphore,
}

/// A place, held for as long as a build runs.
#[derive(Debug)]
pub(super) struct Place<'a> {
    _permit: Option<SemaphorePermit<'a>>,
}

impl Places {
    pub(super) fn of(settings: &LocalSettings) -> Self {
        let places = |number: usize| Semaphore::new(number.clamp(1, Semaphore::MAX_PERMITS));
        Self { builds: places(settings.builds), jobs: places(settings.jobs) }
    }

    /// Waits for a build's turn. A service takes no place: others wait for it, and it for them only to end.
    pub(super) async fn turn(&self, build: &Build) -> Option<Place<'_>> {
        let places = match build.recorded().job {
            None => &self.builds,
            Some(Job { service: false, .. }) => &self.jobs,
            Some(Job { service: true, .. }) => return Some(Place { _permit: None }),
        };
        places.acquire().await.ok().map(|permit| Place { _permit: Some(permit) })
    }
}
