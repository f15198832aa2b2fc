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

/// Runners that a job gets which end without having taken any.
const TRIES: u32 = 3;
/// Runners of one job at all: others may have been quicker at each.
const MOST: u32 = 16;
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

impl From<Problem> for LookError {
    fn from(problem: Problem) -> Self {
        Self::Refused(problem.sentence)
    }
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
    /// Looks and acts; what looked superfluous is given back, to be held against the next look.
    pub(super) async fn look(self) -> Result<Before, LookError> {
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
        let (actions, next) = reconcile(&seen, &self.before);
        for action in actions {
            if !self.lock.is_proven(&self.app.registry).await {
                return Err(LookError::Lock);
            }
            self.act(&forge, &seen, action).await?;
        }
        Ok(next)
    }

    /// The open jobs of this scope that no entry further down has runners for.
    async fn jobs(&self, forge: &Runners) -> Result<Vec<SeenJob>, LookError> {
        let mut named: BTreeSet<(String, String)> = forge.repositories().await?;
        for (_, record) in self.records().await? {
            let repo = record.runner.and_then(|runner| runner.job.repo.parse::<RepoUrl>().ok());
            let parts = repo.as_ref().and_then(RepoUrl::owner_and_name);
            named.extend(parts.map(|(owner, name)| (owner.to_owned(), name.to_owned())));
        }
        let mut ours = Vec::new();
        for job in forge.jobs(&named).await? {
            if self.is_ours(&job).await? {
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

    /// Another runner for a job that has waited without one; one that ended without a job may not be the last.
    async fn claim(&self, job: &SeenJob) -> Result<(), LookError> {
        let mut failed = 0;
        for attempt in 1..=MOST {
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
                    let (reason, of) = (Some("a job is queued at the forge"), Some(job.at.repo.as_str()));
                    let line = Line { verdict: "claimed", reason, of, ..Line::of_record(&record) };
                    Line { claim: Some(claim.as_str()), ..line }.write("runner");
                    return Ok(());
                }
                Some(Claimed::Over(_, done)) => {
                    // What was ended on purpose says nothing of the next.
                    let failed_itself = !matches!(done.outcome, Outcome::Cancelled { .. });
                    let took_none = done.runner.as_deref().is_none_or(Runner::is_idle);
                    failed += u32::from(failed_itself && took_none);
                }
            }
            if failed >= TRIES {
                break;
            }
        }
        let (id, repo) = (job.at.id, job.at.repo.as_str());
        tracing::error!(
            id,
            repo,
            tries = failed,
            "a job has had its runners, and none took it: run it again at the forge"
        );
        Ok(())
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
