//! One look at a scope: what its forge lists, what the registry has, and what is done about it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::lock::Lock;
use crate::api::forge::{ForgeError, Removed, Runners};
use crate::dispatcher::SharedApp;
use crate::dispatcher::answer::Problem;
use crate::dispatcher::audit::Line;
use crate::dispatcher::held;
use crate::dispatcher::runners::{self, Claimed};
use crate::domain::config::ForgeKind;
use crate::domain::id::ClaimId;
use crate::domain::outcome::Outcome;
use crate::domain::record::{Phase, Record, StopWhy};
use crate::domain::repo_url::RepoUrl;
use crate::domain::runners::{Action, Before, Runner, Seen, SeenJob, SeenState, reconcile, scope_tag};
use crate::registry::{Entry, Found, RegistryError};

/// Runners of one job at all: others may have been quicker at each.
const MOST: u32 = 32;
/// The shortest wait after a runner that ended without having taken a job, twice as long after each further one; the
/// forge is not asked more often.
const SPACED: Duration = Duration::from_secs(30);
/// The longest.
const SPACED_AT_MOST: Duration = Duration::from_secs(600);
/// Every so many runners that took none are worth a line.
const WORTH_A_LINE: u32 = 3;
/// Who ends what nobody needs.
const BY: &str = "Albatros: no job is left for it";
/// Who ends what its forge has let go of.
const UNLISTED: &str = "its forge: the job is over, or was cancelled";

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum LookError {
    #[error("the forge did not say what there is")]
    Forge(#[from] ForgeError),
    #[error("the registry did not answer")]
    Registry(#[from] RegistryError),
    #[error("the registry took no change: {0}")]
    Refused(String),
    #[error("it took too long")]
    Slow,
    #[error("the follower's lock is not proven")]
    Lock,
}

impl LookError {
    /// How long the forge asks to be left alone.
    pub(super) fn wait(&self) -> Option<Duration> {
        if let Self::Forge(error) = self { error.wait() } else { None }
    }
}

impl From<Problem> for LookError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.sentence)
    }
}

/// What a look came to.
#[derive(Debug)]
pub(super) struct Looked {
    /// What looked superfluous, to be held against the next look.
    pub(super) before: Before,
    /// The first of what could not be done.
    pub(super) trouble: Option<LookError>,
}

/// What is needed for it.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) app: SharedApp,
    pub(super) lock: Arc<Lock>,
    pub(super) found: Found,
    pub(super) scope: String,
    pub(super) before: Before,
}

impl Look {
    /// Looks and acts. One thing that cannot be done holds up nothing else.
    pub(super) async fn look(self) -> Result<Looked, LookError> {
        let forge = runners::at_forge(&self.app, &self.found.config, &self.found.repo)?;
        let asked = Timestamp::now();
        let jobs = self.jobs(&forge).await?;
        let listed = forge.list().await?;
        let records = self.records().await?;
        let tag = scope_tag(&self.app.site(), &self.scope);
        let kind = self.found.config.forge.as_ref().map_or(ForgeKind::Gitea, |forge| forge.kind);
        let seen = Seen {
            kind,
            pools: &self.found.config.runners,
            jobs: &jobs,
            runners: &listed,
            records: &records,
            tag: &tag,
            asked,
        };
        let (actions, before) = reconcile(&seen, &self.before);
        let mut trouble = None;
        for action in actions {
            if !self.lock.is_proven(&self.app.registry).await {
                return Err(LookError::Lock);
            }
            if let Err(error) = self.act(&forge, &seen, action).await {
                let (scope, cause) = (self.scope.as_str(), &error as &dyn std::error::Error);
                tracing::warn!(scope, error = cause, "what a runner or a job needs could not be done");
                let is_enough = error.wait().is_some();
                trouble.get_or_insert(error);
                if is_enough {
                    break;
                }
            }
        }
        Ok(Looked { before, trouble })
    }

    /// The queued jobs of this scope that no entry further down has runners for, and all that are in progress.
    async fn jobs(&self, forge: &Runners) -> Result<Vec<SeenJob>, LookError> {
        let mut named: BTreeSet<(String, String)> = forge.repositories().await?;
        for (_, record) in self.records().await? {
            let repo = record.runner.and_then(|runner| runner.job.repo.parse::<RepoUrl>().ok());
            let parts = repo.as_ref().and_then(RepoUrl::owner_and_name);
            named.extend(parts.map(|(owner, name)| (owner.to_owned(), name.to_owned())));
        }
        let mut ours = Vec::new();
        for job in forge.jobs(&named).await? {
            // Who has a job is taken, whoever's the job is.
            if job.state != SeenState::Queued || self.is_ours(&job).await? {
                ours.push(job);
            }
        }
        Ok(ours)
    }

    /// Whether this entry is the nearest above a job that has pools.
    async fn is_ours(&self, job: &SeenJob) -> Result<bool, RegistryError> {
        let Ok(repo) = job.at.repo.parse::<RepoUrl>() else { return Ok(false) };
        // An entry for it may leave the ending out.
        let bare = repo.canonical().strip_suffix(".git").and_then(|bare| bare.parse::<RepoUrl>().ok());
        let parents = repo.parents();
        for url in std::iter::once(repo).chain(bare).chain(parents) {
            if url.canonical() == self.scope {
                return Ok(true);
            }
            if let Entry::Found(found) = self.app.registry.entry(&url).await?
                && !found.config.runners.is_empty()
            {
                return Ok(false);
            }
        }
        // Its forge spells itself otherwise than deliveries do: it was listed for this scope.
        Ok(true)
    }

    async fn records(&self) -> Result<Vec<(ClaimId, Record)>, RegistryError> {
        let (_, open) = self.app.registry.watch_open(None, Duration::ZERO).await?;
        let ours = |record: &Record| record.runner.as_deref().is_some_and(|runner| runner.scope == self.scope);
        let ours = open.into_iter().filter(|(_, stored)| ours(&stored.value));
        Ok(ours.map(|(claim, stored)| (claim, stored.value)).collect())
    }

    async fn act(&self, forge: &Runners, seen: &Seen<'_>, action: Action) -> Result<(), LookError> {
        match action {
            Action::Claim { job, .. } => match seen.jobs.get(job) {
                Some(job) => self.claim(job).await,
                None => Ok(()),
            },
            Action::Take { claim, job } => {
                let take = |runner: &mut Runner| {
                    let is_news = runner.is_idle();
                    if is_news {
                        (runner.taken, runner.taken_job) = (Some(Timestamp::now()), job);
                    }
                    is_news
                };
                runners::amend(&self.app, &claim, take).await?;
                Ok(())
            }
            Action::End { claim } => self.end(forge, &claim).await,
            Action::Stop { claim } => self.stop(&claim, UNLISTED).await,
            Action::Remove { id, name } => {
                tracing::warn!(scope = self.scope, id, name, "a runner without a record is taken off its forge's list");
                if forge.remove(id).await? == Removed::Busy {
                    tracing::warn!(scope = self.scope, id, name, "its forge keeps it while it has a job");
                }
                Ok(())
            }
        }
    }

    /// Another runner for a job that has waited without one. After each that ended without a job there is a longer wait.
    async fn claim(&self, job: &SeenJob) -> Result<(), LookError> {
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
        tracing::error!(id, repo, tries = MOST, "a job has had its runners, and none took it: run it again at the forge");
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

    /// Takes the runner off the list, so that it takes no job any more, and then stops it.
    async fn end(&self, forge: &Runners, claim: &ClaimId) -> Result<(), LookError> {
        let Some(stored) = self.app.registry.open(claim).await? else { return Ok(()) };
        let Some(runner) = stored.value.runner.as_deref().filter(|runner| runner.is_idle()) else { return Ok(()) };
        if runner.registering.is_some() {
            // It may have taken a job since it was listed.
            let listed = forge.named(&runner.name).await?;
            let jobs = self.jobs(forge).await?;
            let has_it =
                |job: &SeenJob| matches!(&job.state, SeenState::InProgress(Some((_, name))) if *name == runner.name);
            if listed.iter().any(|one| one.busy) || jobs.iter().any(has_it) {
                return Ok(());
            }
            for one in listed {
                if forge.remove(one.id).await? == Removed::Busy {
                    return Ok(());
                }
            }
        }
        self.stop(claim, BY).await
    }

    async fn stop(&self, claim: &ClaimId, by: &str) -> Result<(), LookError> {
        let Some(stored) = self.app.registry.open(claim).await? else { return Ok(()) };
        tracing::info!(scope = self.scope, claim = claim.as_str(), by, "a runner is ended");
        held::stop_record(&self.app, claim, stored, StopWhy::Cancel, by).await?;
        Ok(())
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
