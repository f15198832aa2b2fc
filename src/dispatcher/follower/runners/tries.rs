//! Runners of one job, one after another: the next when the one before will not take it, further and further apart.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::look::{Look, LookError};
use crate::dispatcher::audit::Line;
use crate::dispatcher::runners::{self, Claimed};
use crate::domain::id::ClaimId;
use crate::domain::outcome::Outcome;
use crate::domain::record::{Phase, Record};
use crate::domain::runners::{JobAt, Runner, SeenJob};

/// Runners of one job that one look goes through; the next look goes on behind them.
const STEPS: u32 = 64;
/// The shortest wait after a runner that ended without having taken a job, twice as long after each further one; the
/// forge is not asked more often.
const SPACED: Duration = Duration::from_secs(30);
/// The longest.
const SPACED_AT_MOST: Duration = Duration::from_secs(600);
/// Every so many runners that took none are worth a line.
const WORTH_A_LINE: u32 = 3;

/// How far the runners of each queued job are, so that a look does not go through all of them again. Losing it costs that.
#[derive(Debug, Clone, Default)]
pub(super) struct Tries(HashMap<JobAt, Past>);

/// The runners of a job that are over and forgotten by the forge.
#[derive(Debug, Clone, Copy)]
struct Past {
    /// The next try.
    next: u32,
    /// Those of them that ended by themselves without a job.
    failed: u32,
    /// The next one is not started earlier.
    not_before: Timestamp,
}

impl Tries {
    /// Forgets jobs that wait no longer.
    pub(super) fn keep<'a>(&mut self, queued: impl Iterator<Item = &'a SeenJob>) {
        let kept: HashMap<JobAt, Past> = queued.filter_map(|job| self.0.remove_entry(&job.at)).collect();
        self.0 = kept;
    }
}

impl Past {
    const NONE: Self = Self { next: 1, failed: 0, not_before: Timestamp::MIN };

    /// With one more that is over. What was ended on purpose, or had another's job, says nothing of the next.
    fn with(self, every: Duration, outcome: &Outcome, runner: Option<&Runner>, finished: Timestamp) -> Self {
        let next = self.next.saturating_add(1);
        if matches!(outcome, Outcome::Cancelled { .. }) || !runner.is_none_or(Runner::is_idle) {
            return Self { next, ..self };
        }
        let failed = self.failed.saturating_add(1);
        let not_before = finished.saturating_add(spaced(every, failed)).unwrap_or(Timestamp::MAX);
        Self { next, failed, not_before }
    }
}

impl Look {
    /// Another runner for a job that has waited without one. After each that ended without a job there is a longer wait.
    pub(super) async fn claim(&self, job: &SeenJob, tries: &mut Tries) -> Result<(), LookError> {
        let every = self.app.settings.runners_every;
        let mut past = tries.0.get(&job.at).copied().unwrap_or(Past::NONE);
        // Whether all before are over, so that they need not be looked at again.
        let mut settled = true;
        for _ in 0..STEPS {
            if Timestamp::now() < past.not_before {
                return Ok(());
            }
            match runners::claim(&self.app, &self.found, job, past.next).await? {
                None => return Ok(()),
                Some(Claimed::Before(_, before)) => {
                    let runner = before.runner.as_deref();
                    let awaits = |runner: &Runner| runner.is_idle() || runner.taken_job == Some(job.at.id);
                    settled = false;
                    past = match &before.phase {
                        // It is over, and still to be taken off the forge's list.
                        Phase::Ended { outcome } => {
                            past.with(every, outcome, runner, before.finished.unwrap_or(before.created))
                        }
                        Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched => {
                            // Who works for another job, or is on its way out, will not come to this one.
                            if before.stop.is_none() && runner.is_some_and(awaits) {
                                return Ok(());
                            }
                            Past { next: past.next.saturating_add(1), ..past }
                        }
                    };
                }
                Some(Claimed::Now(claim, record)) => {
                    self.claimed(job, (&claim, &record), past.failed);
                    return Ok(());
                }
                Some(Claimed::Over(_, done)) => {
                    past = past.with(every, &done.outcome, done.runner.as_deref(), done.finished);
                    if settled {
                        tries.0.insert(job.at.clone(), past);
                    }
                }
            }
        }
        Ok(())
    }

    fn claimed(&self, job: &SeenJob, (claim, record): (&ClaimId, &Record), failed: u32) {
        let (reason, of) = (Some("a job is queued at the forge"), Some(job.at.repo.as_str()));
        let line = Line { verdict: "claimed", reason, of, ..Line::of_record(record) };
        Line { claim: Some(claim.as_str()), ..line }.write("runner");
        if failed > 0 && failed.is_multiple_of(WORTH_A_LINE) {
            let (id, repo, scope) = (job.at.id, job.at.repo.as_str(), self.scope.as_str());
            let why = "runners of a job end without taking it; it gets another one: see how they ended";
            tracing::error!(scope, id, repo, tries = failed, "{why}");
        }
    }
}

/// The wait after so many runners that ended without a job.
fn spaced(every: Duration, failed: u32) -> Duration {
    every.min(SPACED).saturating_mul(2_u32.saturating_pow(failed)).min(SPACED_AT_MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_of_a_job_that_none_takes_come_further_and_further_apart() {
        for (failed, seconds) in [(1, 60), (2, 120), (4, 480), (5, 600), (40, 600)] {
            assert_eq!(spaced(SPACED, failed), Duration::from_secs(seconds));
            assert_eq!(spaced(SPACED * 10, failed), Duration::from_secs(seconds));
        }
    }

    #[test]
    fn only_those_that_ended_by_themselves_without_a_job_are_waited_for() {
        let (cancelled, at) = (Outcome::Cancelled { by: "x".to_owned() }, Timestamp::UNIX_EPOCH);
        let mut past = Past::NONE;
        for _ in 0..40 {
            past = past.with(SPACED, &cancelled, None, at);
        }
        assert_eq!((past.next, past.failed, past.not_before), (41, 0, Timestamp::MIN));
        let past = past.with(SPACED, &Outcome::Failure { exit_code: 1, signal: 0 }, None, at);
        assert_eq!((past.next, past.failed), (42, 1));
        assert_eq!(past.not_before, at.saturating_add(Duration::from_secs(60)).unwrap());
    }
}
