//! One look at a scope: what its forge lists, what the registry has, and what is done about it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::super::lock::Lock;
use super::tries::Tries;
use crate::api::forge::{ForgeError, Removed, Runners};
use crate::dispatcher::SharedApp;
use crate::dispatcher::answer::Problem;
use crate::dispatcher::held;
use crate::dispatcher::runners;
use crate::domain::config::ForgeKind;
use crate::domain::id::ClaimId;
use crate::domain::record::{Record, StopWhy};
use crate::domain::repo_url::RepoUrl;
use crate::domain::runners::{Action, Before, Runner, Seen, SeenJob, SeenState, reconcile, scope_tag};
use crate::registry::{Entry, Found, RegistryError};

/// Repositories that are asked for jobs in one look, where they are asked one by one.
const MOST_ASKED: usize = 100;
/// How long their answers are waited for: less than a look may take, so that what was read is acted on.
const JOBS_WITHIN: Duration = Duration::from_secs(75);
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

/// Which repositories are asked for jobs, where they are not all asked at once. Losing it begins a new round.
#[derive(Debug, Clone, Default)]
pub(super) struct Rounds {
    turn: usize,
    /// Those that had jobs when they were asked last.
    active: BTreeSet<(String, String)>,
    tries: Tries,
}

/// What a look came to.
#[derive(Debug)]
pub(super) struct Looked {
    /// What looked superfluous, to be held against the next look.
    pub(super) before: Before,
    /// Where jobs are to be asked for next.
    pub(super) rounds: Rounds,
    /// The first of what could not be done.
    pub(super) trouble: Option<LookError>,
    /// How long its forge is to be left alone, by what it still allows.
    pub(super) pace: Duration,
}

/// What is needed for it.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) app: SharedApp,
    pub(super) lock: Arc<Lock>,
    pub(super) found: Found,
    pub(super) scope: String,
    pub(super) before: Before,
    pub(super) rounds: Rounds,
}

impl Look {
    /// Looks and acts. One thing that cannot be done holds up nothing else.
    pub(super) async fn look(self) -> Result<Looked, LookError> {
        let forge = runners::at_forge(&self.app, &self.found.config, &self.found.repo)?;
        let asked = Timestamp::now();
        let kind = self.found.config.forge.as_ref().map_or(ForgeKind::Gitea, |forge| forge.kind);
        let (named, mut rounds) = self.named(&forge).await?;
        let jobs = forge.jobs(&named, Instant::now() + JOBS_WITHIN).await?;
        for why in &jobs.hidden {
            tracing::warn!(scope = self.scope, why, "the jobs of a repository's workflows cannot be listed");
        }
        rounds.active = jobs.entries.iter().filter_map(|job| owner_and_name(&job.at.repo)).collect();
        let all_jobs = jobs.is_whole && (kind == ForgeKind::Gitea || named.len() < MOST_ASKED);
        let jobs = self.ours(jobs.entries).await?;
        let listed = forge.list().await?;
        let records = self.records().await?;
        let tag = scope_tag(&self.found.config, &self.app.site(), &self.scope);
        let seen = Seen {
            kind,
            pools: &self.found.config.runners,
            jobs: &jobs,
            runners: &listed.entries,
            all_jobs,
            all_runners: listed.is_whole,
            records: &records,
            tag: &tag,
            asked,
        };
        let (actions, before) = reconcile(&seen, &self.before);
        rounds.tries.keep(jobs.iter().filter(|job| job.state == SeenState::Queued));
        let mut trouble = None;
        for action in actions {
            if !self.lock.is_proven(&self.app.registry).await {
                return Err(LookError::Lock);
            }
            if let Err(error) = self.act(&forge, &seen, action, &mut rounds.tries).await {
                let (scope, cause) = (self.scope.as_str(), &error as &dyn std::error::Error);
                tracing::warn!(scope, error = cause, "what a runner or a job needs could not be done");
                let is_enough = error.wait().is_some();
                trouble.get_or_insert(error);
                if is_enough {
                    break;
                }
            }
        }
        Ok(Looked { before, rounds, trouble, pace: forge.pace() })
    }

    /// The repositories to be asked in this look: of open runners, of jobs that were seen, and the next few of all others.
    async fn named(&self, forge: &Runners) -> Result<(BTreeSet<(String, String)>, Rounds), LookError> {
        let mut rounds = self.rounds.clone();
        let mut few = forge.repositories(rounds.turn).await?;
        if few.is_empty() && rounds.turn > 0 {
            rounds.turn = 0;
            few = forge.repositories(0).await?;
        }
        rounds.turn = if few.is_empty() { 0 } else { rounds.turn + 1 };
        let of_records = self.records().await?.into_iter();
        let of_records = of_records.filter_map(|(_, record)| owner_and_name(&record.runner?.job.repo));
        let mut named = BTreeSet::new();
        for repo in few.into_iter().chain(of_records).chain(rounds.active.iter().cloned()) {
            if named.len() < MOST_ASKED {
                named.insert(repo);
            }
        }
        Ok((named, rounds))
    }

    /// Without the queued ones that an entry further down has runners for.
    async fn ours(&self, jobs: Vec<SeenJob>) -> Result<Vec<SeenJob>, LookError> {
        let mut ours = Vec::new();
        for job in jobs {
            // Who has a job is taken, whoever's the job is.
            if job.state != SeenState::Queued || self.is_ours(&job).await? {
                ours.push(job);
            }
        }
        Ok(ours)
    }

    /// Whether this entry is the nearest above a job that has a pool for it.
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
                && runners::pool_of(&found.config, &job.labels).is_some()
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

    async fn act(&self, forge: &Runners, seen: &Seen<'_>, action: Action, tries: &mut Tries) -> Result<(), LookError> {
        match action {
            Action::Claim { job, .. } => match seen.jobs.get(job) {
                Some(job) => self.claim(job, tries).await,
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

    /// Takes the runner off the list, so that it takes no job any more, and then stops it.
    async fn end(&self, forge: &Runners, claim: &ClaimId) -> Result<(), LookError> {
        let Some(stored) = self.app.registry.open(claim).await? else { return Ok(()) };
        let Some(runner) = stored.value.runner.as_deref().filter(|runner| runner.is_idle()) else { return Ok(()) };
        if runner.registering.is_some() {
            // It may have taken a job since it was listed.
            let listed = forge.named(&runner.name).await?.entries;
            if listed.iter().any(|one| one.busy) || self.may_work(forge, &runner.name).await? {
                return Ok(());
            }
            match forge.remove_named(&runner.name, runner.registered).await? {
                Removed::Yes => {}
                Removed::Busy | Removed::Unseen => return Ok(()),
            }
        }
        self.stop(claim, BY).await
    }

    /// Whether a job names this runner, where its forge would remove it all the same; GitHub keeps those that have one.
    async fn may_work(&self, forge: &Runners, name: &str) -> Result<bool, LookError> {
        if self.found.config.forge.as_ref().is_some_and(|forge| forge.kind == ForgeKind::Github) {
            return Ok(false);
        }
        let jobs = forge.jobs(&BTreeSet::new(), Instant::now() + JOBS_WITHIN).await?;
        let has_it = |job: &SeenJob| matches!(&job.state, SeenState::InProgress(Some((_, by))) if by == name);
        Ok(!jobs.is_whole || jobs.entries.iter().any(has_it))
    }

    async fn stop(&self, claim: &ClaimId, by: &str) -> Result<(), LookError> {
        let Some(stored) = self.app.registry.open(claim).await? else { return Ok(()) };
        tracing::info!(scope = self.scope, claim = claim.as_str(), by, "a runner is ended");
        held::stop_record(&self.app, claim, stored, StopWhy::Cancel, by).await?;
        Ok(())
    }
}

fn owner_and_name(repo: &str) -> Option<(String, String)> {
    let repo = repo.parse::<RepoUrl>().ok()?;
    repo.owner_and_name().map(|(owner, name)| (owner.to_owned(), name.to_owned()))
}
