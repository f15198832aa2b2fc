//! `GET /session/{claim}/jobs?since=&wait=`: how far a build's jobs are, held until something is another.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use utoipa::IntoParams;

use super::{Tracked, configuration, shown, tracked};
use crate::api::session::jobs::LIST_WAIT_MOST;
use crate::dispatcher::changes::{Changes, Newest};
use crate::dispatcher::history;
use crate::dispatcher::known::OpenList;
use crate::dispatcher::openapi::{ClaimPath, Session};
use crate::dispatcher::session::bearer::Bearer;
use crate::dispatcher::session::caller::{Caller, no_runner};
use crate::dispatcher::session::refusal::Refusal;
use crate::dispatcher::{App, SharedApp};
use crate::domain::config::RepoConfig;
use crate::domain::duration::Span;
use crate::domain::id::{ClaimId, JobName};
use crate::domain::job::{Job, JobList};
use crate::domain::record::Record;
use crate::registry::RegistryError;

/// So many bits are left of a list's digest: what a JSON number holds everywhere.
const VERSION_BITS: u32 = 53;

/// The query.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct Since {
    /// The `version` of the list that is known.
    since: Option<u64>,
    /// How long to wait for another one: `20s`.
    wait: Option<Span>,
}

/// How far the jobs of a build are
///
/// Held until something is another, where `since` and `wait` say so.
#[utoipa::path(get, path = "/session/{claim}/jobs", tag = "controllers", operation_id = "list_jobs", params(ClaimPath, Since),
    responses((status = 200, description = "The jobs.", body = JobList), Session), security(("session" = [])),)]
pub(crate) async fn list(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    Query(since): Query<Since>,
    Bearer(secret): Bearer,
) -> Result<Json<JobList>, Refusal> {
    let caller = Caller::of(&claim, &secret)?;
    let _wait = app.sessions.wait()?;
    match (since.since, since.wait) {
        (Some(known), Some(wait)) => {
            let until = tokio::time::Instant::now() + wait.get().min(LIST_WAIT_MOST);
            let changed = app.shutdown.run_until_cancelled(changed(&app, &caller, known, until)).await;
            changed.unwrap_or_else(|| Err(Refusal::later("the server is being stopped"))).map(Json)
        }
        _ => now(&app, &caller).await.map(Json),
    }
}

/// As it is, by reads that begin after the question.
async fn now(app: &App, caller: &Caller) -> Result<JobList, Refusal> {
    let asked = Instant::now();
    let parent = caller.record(app).await?;
    let open = app.known.open(app, asked).await?;
    of(app, &parent.value, &open).await
}

/// As it is once it is not `known` any more, or at `until`. All who wait share one list of the registry.
async fn changed(
    app: &SharedApp,
    caller: &Caller,
    known: u64,
    until: tokio::time::Instant,
) -> Result<JobList, Refusal> {
    let mut changes = Changes::watch(app);
    loop {
        let Some(open) = next(&mut changes, until).await else { return now(app, caller).await };
        let parent = open.iter().find(|(claim, _)| *claim == caller.claim).map(|(_, stored)| &stored.value);
        let list = match parent {
            Some(parent) => {
                caller.check(parent)?;
                of(app, parent, &open).await?
            }
            // Over, or younger than the list: asked by itself.
            None => of(app, &caller.record(app).await?.value, &open).await?,
        };
        if list.version != known || later(&mut changes, until).await.is_none() {
            return Ok(list);
        }
    }
}

/// The list as it is, once it has been read.
async fn next(changes: &mut watch::Receiver<Newest>, until: tokio::time::Instant) -> Option<Arc<OpenList>> {
    let there = tokio::time::timeout_at(until, changes.wait_for(Option::is_some)).await.ok()?.ok()?.clone();
    changes.mark_unchanged();
    there
}

/// Waits for another list.
async fn later(changes: &mut watch::Receiver<Newest>, until: tokio::time::Instant) -> Option<()> {
    tokio::time::timeout_at(until, changes.changed()).await.ok()?.ok()
}

async fn of(app: &App, parent: &Record, open: &OpenList) -> Result<JobList, Refusal> {
    no_runner(parent)?;
    let config = configuration(app, parent).await?;
    let jobs = told(app, &parent.jobs, open, config.as_ref()).await?;
    Ok(JobList { version: version(&jobs), jobs })
}

/// How far the jobs of a build are, which are named in its record. Without a configuration nothing secret is in it.
pub(crate) async fn told(
    app: &App,
    named: &BTreeMap<JobName, ClaimId>,
    open: &OpenList,
    config: Option<&RepoConfig>,
) -> Result<Vec<Job>, RegistryError> {
    let records: HashMap<&ClaimId, &Record> = open.iter().map(|(claim, stored)| (claim, &stored.value)).collect();
    let mut jobs = Vec::with_capacity(named.len());
    for (name, claim) in named {
        jobs.push(match records.get(claim) {
            Some(record) => shown::open(name, claim, record, config),
            None => unlisted(app, name, claim, config).await?,
        });
    }
    Ok(jobs)
}

/// A job that was not open when the list was read: over, as most are in the end, or younger than the list.
async fn unlisted(
    app: &App,
    name: &JobName,
    claim: &ClaimId,
    config: Option<&RepoConfig>,
) -> Result<Job, RegistryError> {
    if let Some(job) = app.sessions.ended_job(claim) {
        return Ok(job);
    }
    Ok(match tracked(app, claim).await? {
        Tracked::Open(stored) => shown::open(name, claim, &stored.value, config),
        Tracked::Done(done) => {
            let job = shown::done(name, claim, &done);
            app.sessions.keep_ended_job(&job);
            job
        }
        Tracked::Not => forgotten(app, name, claim).await,
    })
}

/// The registry forgets a job after a week, the store later. A build can be shown without it as well.
async fn forgotten(app: &App, name: &JobName, claim: &ClaimId) -> Job {
    match history::claim(app, claim).await {
        Ok(Some(kept)) => {
            let job = shown::done(name, claim, &kept.story.done);
            app.sessions.keep_ended_job(&job);
            job
        }
        Ok(None) => shown::named(name, claim),
        Err(error) => {
            tracing::warn!(claim = claim.as_str(), error = &error as &dyn std::error::Error, "a job could not be read");
            shown::named(name, claim)
        }
    }
}

/// The same for the same list, whichever replica says it.
fn version(jobs: &[Job]) -> u64 {
    let digest = Sha256::digest(serde_json::to_vec(jobs).unwrap_or_default());
    let first = digest.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    first >> (u64::BITS - VERSION_BITS)
}
