//! Waiting for jobs, and being interrupted meanwhile.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};

use super::super::super::exit::Exit;
use super::super::BuildError;
use crate::api::controller::{Controller, ControllerError};
use crate::domain::id::JobName;
use crate::domain::job::view::{JobView, Shown};

/// A busy controller is asked again after so long.
const PAUSE: Duration = Duration::from_millis(500);

/// The build's jobs as they change.
pub(super) struct Watch<'a> {
    controller: &'a Controller,
    now: Option<Shown>,
}

impl<'a> Watch<'a> {
    pub(super) fn of(controller: &'a Controller) -> Self {
        Self { controller, now: None }
    }

    /// What is known; at once the first time, then after a change, or after a while.
    pub(super) async fn next(&mut self) -> Result<&Shown, ControllerError> {
        loop {
            match self.controller.jobs(self.now.as_ref().map(|shown| shown.version)).await {
                Ok(shown) => return Ok(self.now.insert(shown)),
                Err(error) if error.waiting() => sleep(PAUSE).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn until(&mut self, name: &JobName, good: impl Fn(&JobView) -> bool) -> Result<JobView, BuildError> {
        loop {
            let known = match self.now.is_some() {
                true => self.now.as_ref(),
                false => Some(self.next().await?),
            };
            let job = known.and_then(|shown| shown.jobs.iter().find(|job| job.name == *name));
            let unknown = || BuildError::Usage(format!("this build has no job {name}"));
            let job = job.cloned().ok_or_else(unknown)?;
            if good(&job) {
                return Ok(job);
            }
            self.next().await?;
        }
    }

    /// A job that has ended, or a service that is ready.
    pub(super) async fn settled_at_last(&mut self, name: &JobName) -> Result<JobView, BuildError> {
        self.until(name, JobView::settled).await
    }

    /// The same, if it comes to that in time.
    pub(super) async fn settled(&mut self, name: &JobName, within: Duration) -> Result<Option<JobView>, BuildError> {
        let until = self.until(name, JobView::settled);
        timeout_at(Instant::now() + within, until).await.ok().transpose()
    }

    /// A job that has ended, if it does in time.
    pub(super) async fn ended(&mut self, name: &JobName, within: Duration) -> Result<Option<JobView>, BuildError> {
        let until = self.until(name, |job| job.ended);
        timeout_at(Instant::now() + within, until).await.ok().transpose()
    }
}

/// Until all of these have ended or are ready, or cannot be asked for any more.
pub(super) async fn none_open(controller: &Controller, names: &[JobName]) {
    let mut watch = Watch::of(controller);
    let services = async {
        let mut serves = false;
        for name in names {
            serves |= watch.settled_at_last(name).await?.ready;
        }
        Ok::<bool, BuildError>(serves)
    };
    // The logs of those that have ended end by themselves.
    if let Ok(false) = services.await {
        std::future::pending::<()>().await;
    }
}

/// Ctrl-C and SIGTERM.
pub(super) struct Interrupts {
    term: Signal,
    int: Signal,
}

impl Interrupts {
    pub(super) fn listen() -> Result<Self, BuildError> {
        Ok(Self { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? })
    }

    /// The next one, as a shell's exit code.
    pub(super) async fn next(&mut self) -> Exit {
        let number = tokio::select! {
            _ = self.term.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.int.recv() => SignalKind::interrupt().as_raw_value(),
        };
        Exit::Code(u8::try_from(number).unwrap_or(127).saturating_add(128))
    }
}
