//! A delivery of a workflow's job: claims a runner for it, or notes what has become of one.

use std::time::Instant;

use axum::http::StatusCode;
use jiff::Timestamp;

use super::{amend, pool_of};
use crate::dispatcher::answer::{Answer, Problem};
use crate::dispatcher::audit::Line;
use crate::dispatcher::claim::{already_built, at_claim, nonce};
use crate::dispatcher::hook::registry_down;
use crate::dispatcher::metrics::{HookForge, HookResult};
use crate::dispatcher::{App, SharedApp};
use crate::domain::config::RepoConfig;
use crate::domain::id::ClaimId;
use crate::domain::json::shown;
use crate::domain::record::Record;
use crate::domain::repo_url::RepoUrl;
use crate::domain::runners::{Asked, ByRunner, Runner, SeenJob, SeenState, plan, record};
use crate::registry::{self, Found, RegistryError};

/// Labels of a job that an answer repeats.
const SHOWN: usize = 8;

/// What became of asking for a runner.
#[derive(Debug)]
pub(crate) enum Claimed {
    /// It is asked for now.
    Now(ClaimId, Box<Record>),
    /// It was asked for before, and is not over.
    Before(ClaimId, Box<Record>),
    /// It was asked for before, and is over.
    Over(ClaimId, Box<crate::domain::record::Done>),
}

/// Does what a verified delivery asks for.
pub(crate) async fn deliver(
    app: &SharedApp,
    found: &Found,
    job: &SeenJob,
    forge: HookForge,
) -> Result<(HookResult, Answer), Problem> {
    let ignored = |reason: &str| Ok((HookResult::Ignored, Answer::ignored(reason)));
    if found.config.runners.is_empty() {
        return ignored("the repository's configuration has no `runners`");
    }
    match &job.state {
        SeenState::Waiting => ignored("the job waits for others: its runner is started once it is queued"),
        SeenState::Queued => queued(app, found, job, forge).await,
        SeenState::InProgress(by) | SeenState::Completed(by) => {
            let over = matches!(job.state, SeenState::Completed(_));
            let noted = note(app, found, job, by, over).await.map_err(|error| registry_down(&error))?;
            ignored(match (noted, over) {
                (0, _) => "no runner of ours is concerned",
                (_, false) => "a runner of ours has the job",
                (_, true) => "the job is over",
            })
        }
    }
}

async fn queued(
    app: &SharedApp,
    found: &Found,
    job: &SeenJob,
    forge: HookForge,
) -> Result<(HookResult, Answer), Problem> {
    let claimed = claim(app, found, job, 1).await?;
    let Some(claimed) = claimed else {
        let labels: Vec<String> = job.labels.iter().take(SHOWN).map(|label| shown(label)).collect();
        let reason = format!("no entry of `runners` has all of these labels: {}", labels.join(", "));
        return Ok((HookResult::Ignored, Answer::ignored(&reason)));
    };
    let accepted = "accepted: a runner waits for its turn";
    Ok(match claimed {
        Claimed::Now(claim, record) => {
            let line = Line { verdict: HookResult::Accepted.word(), forge: Some(forge), ..Line::of_record(&record) };
            Line { claim: Some(claim.as_str()), reason: Some("a job is queued"), ..line }.write("runner");
            (HookResult::Accepted, at_claim(app, &claim, accepted))
        }
        Claimed::Before(claim, _) => (HookResult::Duplicate, at_claim(app, &claim, accepted)),
        Claimed::Over(claim, done) => (HookResult::Duplicate, already_built(app, &claim, &done)),
    })
}

/// Claims a runner for a job; none where no pool is for it.
pub(crate) async fn claim(app: &App, found: &Found, job: &SeenJob, attempt: u32) -> Result<Option<Claimed>, Problem> {
    let config: &RepoConfig = &found.config;
    let Some(pool) = pool_of(config, &job.labels) else { return Ok(None) };
    let scope = found.repo.parse::<RepoUrl>().map_err(|why| Problem::bad_request(why.to_string()))?;
    let site = app.site();
    let asked = Asked { config, entry: &found.repo, scope: scope.canonical(), site: &site, job, pool, attempt };
    let planned = plan(&asked);
    let claim = planned.claim.clone();
    let odd = || Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "the job cannot be written down");
    let record = record(&asked, planned, nonce()?, Timestamp::now()).ok_or_else(odd)?;
    let claimed = app.registry.claim(&claim, &record).await.map_err(|error| registry_down(&error))?;
    Ok(Some(match claimed {
        registry::Claimed::Won(_) => Claimed::Now(claim, Box::new(record)),
        registry::Claimed::Open(open) => Claimed::Before(claim, Box::new(open.value)),
        registry::Claimed::Done(done) => Claimed::Over(claim, done),
    }))
}

/// Writes down who has taken a job, or that it needs nobody any more. How many runners of ours that concerned.
async fn note(app: &App, found: &Found, job: &SeenJob, by: &ByRunner, over: bool) -> Result<usize, RegistryError> {
    let Ok(scope) = found.repo.parse::<RepoUrl>() else { return Ok(0) };
    let open = app.known.open(app, Instant::now()).await?;
    let ours = open.iter().filter_map(|(claim, stored)| Some((claim, stored.value.runner.as_deref()?)));
    let ours = ours.filter(|(_, runner)| runner.scope == scope.canonical());
    let mut noted = 0;
    for (claim, runner) in ours {
        let (now, id) = (Timestamp::now(), job.at.id);
        let has_it = by.as_ref().is_some_and(|(_, name)| *name == runner.name);
        let unneeded = over && by.is_none() && runner.job.id == id && runner.is_idle();
        if !has_it && !unneeded {
            continue;
        }
        noted += 1;
        let change = |runner: &mut Runner| match (has_it, runner.is_idle()) {
            (true, true) => {
                (runner.taken, runner.taken_job) = (Some(now), Some(id));
                true
            }
            (false, true) if runner.unneeded.is_none() => {
                runner.unneeded = Some(now);
                true
            }
            (_, _) => false,
        };
        amend(app, claim, change).await?;
    }
    Ok(noted)
}
