//! Runners of one job, one after another: the next when the one before will not take it, further and further apart.

use std::time::Duration;

use jiff::Timestamp;

use super::look::{Look, LookError};
use crate::dispatcher::audit::Line;
use crate::dispatcher::runners::{self, Claimed};
use crate::domain::id::ClaimId;
use crate::domain::outcome::Outcome;
use crate::domain::record::{Phase, Record};
use crate::domain::runners::{Runner, SeenJob};

/// Runners of one job at all: others may have been quicker at each.
const MOST: u32 = 32;
/// The shortest wait after a runner that ended without having taken a job, twice as long after each further one; the
/// forge is not asked more often.
const SPACED: Duration = Duration::from_secs(30);
/// The longest.
const SPACED_AT_MOST: Duration = Duration::from_secs(600);
/// Every so many runners that took none are worth a line.
const WORTH_A_LINE: u32 = 3;

impl Look {
    /// Another runner for a job that has waited without one. After each that ended without a job there is a longer wait.
    pub(super) async fn claim(&self, job: &SeenJob) -> Result<(), LookError> {
        let (mut failed, mut not_before) = (0, Timestamp::MIN);
        for attempt in 1..=MOST {
            if Timestamp::now() < not_before {
                return Ok(());
            }
            match runners::claim(&self.app, &self.found, job, attempt).await? {
                None => return Ok(()),
                Some(Claimed::Before(_, before)) => {
                    let awaits = |runner: &Runner| runner.is_idle() || runner.taken_job == Some(job.at.id);
                    let is_leaving = before.stop.is_some() || matches!(before.phase, Phase::Ended { .. });
                    // Who works for another job, or is on its way out, will not come to this one.
                    if !is_leaving && before.runner.as_deref().is_some_and(awaits) {
                        return Ok(());
                    }
                }
                Some(Claimed::Now(claim, record)) => {
                    self.claimed(job, (&claim, &record), failed);
                    return Ok(());
                }
                Some(Claimed::Over(_, done)) => {
                    // What was ended on purpose says nothing of the next.
                    let failed_itself = !matches!(done.outcome, Outcome::Cancelled { .. });
                    if failed_itself && done.runner.as_deref().is_none_or(Runner::is_idle) {
                        failed += 1;
                        let wait = spaced(self.app.settings.runners_every, failed);
                        not_before = done.finished.saturating_add(wait).unwrap_or(Timestamp::MAX);
                    }
                }
            }
        }
        let (id, repo) = (job.at.id, job.at.repo.as_str());
        tracing::error!(
            id,
            repo,
            tries = MOST,
            "a job has had its runners, and none took it: run it again at the forge"
        );
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
}
