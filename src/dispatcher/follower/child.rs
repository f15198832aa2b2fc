//! What is different with a job: it ends with its parent, no forge is told of it, and its parent's controller is.

use std::sync::atomic::{AtomicBool, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::course::{Course, Halt};
use crate::domain::outcome::Verdict;
use crate::domain::record::{Phase, Record, Stop, StopWhy};

/// The reasons of a queue change all the time; a job's are written down this far apart.
const REASONS_APART: SignedDuration = SignedDuration::from_secs(10);

/// Whether jobs of a build may run: it has not ended, and is not being stopped.
pub(super) fn may_have_jobs(record: &Record) -> bool {
    record.stop.is_none() && !matches!(record.phase, Phase::Ended { .. })
}

/// What the newest list says of a course's parent.
#[derive(Debug, Default)]
pub(super) struct Orphan(AtomicBool);

impl Orphan {
    /// Tells it; whether that is news that a course must look at.
    pub(super) fn tell(&self, is: bool) -> bool {
        !self.0.swap(is, Ordering::AcqRel) && is
    }

    fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Course {
    pub(super) fn is_job(&self) -> bool {
        self.stored.value.parent.is_some()
    }

    pub(super) fn is_runner(&self) -> bool {
        self.stored.value.runner.is_some()
    }

    /// Whether no forge shows a status of it: jobs of builds are their parents' business, runners the forge's own.
    pub(super) fn has_no_status(&self) -> bool {
        self.is_job() || self.is_runner()
    }

    /// Writes the stop of a job whose parent no longer runs, before anything else is done with it. Whether the record has
    /// changed. A list may lack what could not be read, so the parent's record itself is asked.
    pub(super) async fn stop_with_parent(&mut self) -> Result<bool, Halt> {
        let record = &self.stored.value;
        let Some(parent) = &record.parent else { return Ok(false) };
        if !may_have_jobs(record) || !self.orphan().is() {
            return Ok(false);
        }
        let stored = self.shared.app.registry.open(&parent.claim).await?;
        if stored.is_some_and(|stored| may_have_jobs(&stored.value)) {
            self.orphan().tell(false);
            return Ok(false);
        }
        tracing::info!(claim = self.claim.as_str(), parent = parent.claim.as_str(), "a job is stopped with its parent");
        let stop = Stop { why: StopWhy::Parent, by: String::new(), at: Timestamp::now() };
        let record = Record { stop: Some(stop), ..record.clone() };
        self.write(record).await?;
        Ok(true)
    }

    /// Writes down how far a job is, for its parent's controller to read. Whether the record has changed.
    pub(super) async fn note_seen(&mut self, verdict: &Verdict) -> Result<bool, Halt> {
        let record = &self.stored.value;
        if !self.has_no_status() || record.seen.as_ref() == Some(verdict) {
            return Ok(false);
        }
        let same_word =
            record.seen.as_ref().is_some_and(|seen| std::mem::discriminant(seen) == std::mem::discriminant(verdict));
        let now = Timestamp::now();
        if same_word && self.seen_at.is_some_and(|at| now.duration_since(at) < REASONS_APART) {
            return Ok(false);
        }
        self.seen_at = Some(now);
        let record = Record { seen: Some(verdict.clone()), ..record.clone() };
        self.write(record).await?;
        Ok(true)
    }
}
