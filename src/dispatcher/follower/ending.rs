//! After the end: the final status, then `done/`.

use std::time::Duration;

use super::course::{Course, Halt, LOOK_AGAIN, Next};
use super::queue::Progress;
use crate::dispatcher::history;
use crate::domain::outcome::Outcome;
use crate::domain::record::{Done, Phase};
use crate::domain::status::status_of;
use crate::registry::Written;

impl Course {
    /// Reports, and moves the record to where ended changes are once that is settled.
    pub(super) async fn ended(&mut self) -> Result<Next, Halt> {
        if !self.queue.is_done() {
            match self.report(status_of(&self.stored.value, None)).await? {
                Progress::Settled => {}
                Progress::Sending => return Ok(Next::In(LOOK_AGAIN)),
                Progress::Later(left) => return Ok(Next::In(left)),
                Progress::Changed => return Ok(Next::Again),
            }
        }
        if let Some(later) = self.unlisted().await? {
            return Ok(later);
        }
        self.finish().await
    }

    /// Moves the record to `done/`, or forgets what never was built.
    pub(super) async fn finish(&mut self) -> Result<Next, Halt> {
        let record = self.stored.value.clone();
        let Phase::Ended { outcome } = &record.phase else { return Ok(Next::Again) };
        let (registry, lease, index) = (&self.shared.app.registry, &self.shared.lock.lease, self.stored.index);
        // An error before there was a child is forgotten, so that a redelivery after the repair builds. A job is not
        // delivered again, and its parent is told how it ended. A runner that no forge heard of was no try of its job.
        let is_kept = self.is_job() || record.runner.as_ref().is_some_and(|runner| runner.registering.is_some());
        let never_built = record.build.is_none() && matches!(outcome, Outcome::Infra { .. }) && !is_kept;
        let written = if never_built {
            registry.forget(&self.claim, index, lease).await
        } else {
            let done = Done::of(&record, outcome);
            let kept = history::keep_now(&self.shared.app, &self.claim, &done).await;
            registry.finish(&self.claim, index, &Done { kept, ..done }, lease).await
        };
        match written? {
            Written::Yes(_) => {
                self.shared.app.metrics.ended(&record, outcome);
                Ok(Next::Over)
            }
            Written::Conflict => {
                self.doubt();
                Ok(Next::In(Duration::ZERO))
            }
            Written::LeaseLost => Err(Halt::LeaseLost),
        }
    }
}
