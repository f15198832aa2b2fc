//! `PUT /session/{claim}/jobs/{name}`: starts a job, once however often it is asked for.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};

use super::{BYTES_MOST, MOST, Tracked, configuration, shown, tracked};
use crate::dispatcher::audit::Line;
use crate::dispatcher::claim::nonce;
use crate::dispatcher::dispatch::{self, AdvanceError, Advanced};
use crate::dispatcher::openapi::{ClaimPath, Sending, Session};
use crate::dispatcher::session::bearer::Bearer;
use crate::dispatcher::session::caller::Caller;
use crate::dispatcher::session::refusal::Refusal;
use crate::dispatcher::{App, SharedApp};
use crate::domain::config::RepoConfig;
use crate::domain::id::{ClaimId, JobName};
use crate::domain::job::{self, Child, Job, JobSpec, SPEC_MOST};
use crate::domain::record::{Phase, Record};
use crate::domain::{claim, grant};
use crate::registry::{Claimed, Stored, Written};

/// Tries of one write against other writers of the same record; a plan starts all its jobs at once.
const TRIES: usize = 20;
/// How long the answer waits for the dispatch; later the follower goes on, and the list says how far it is.
const DISPATCHED_WITHIN: Duration = Duration::from_millis(1500);
/// A job as it was typed may have more white space than it is kept with.
const BODY_LIMIT: usize = 2 * SPEC_MOST;

/// Starts a job, once however often it is asked for
#[utoipa::path(put, path = "/session/{claim}/jobs/{name}", tag = "controllers", operation_id = "start_job", params(
        ClaimPath, ("name" = JobName, Path, description = "The job's name."),
    ),
    request_body = JobSpec,
    responses(
        (status = 200, description = "It is there already.", body = Job),
        (status = 201, description = "It has been started.", body = Job),
        (status = 409, description = "The build has another job of this name."),
        (status = 422, description = "The job makes no sense, or there are too many."),
        Session,
        Sending,
    ),
    security(("session" = [])),)]
pub(crate) async fn start(
    State(app): State<SharedApp>,
    Path((claim, name)): Path<(String, String)>,
    Bearer(secret): Bearer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let caller = Caller::of(&claim, &secret)?;
    let _place = app.sessions.place()?;
    let parent = caller.build(&app).await?;
    let taken = app.bodies.take(body, &headers, BODY_LIMIT).await?;
    let spec = read(&taken.bytes, &name)?;
    let config = configuration(&app, &parent.value).await?;
    let config = config.ok_or_else(|| Refusal::later("the repository's configuration cannot be used now"))?;
    permit(&parent.value, &spec, &config)?;
    let (parent, claim) = enlist(&app, &caller, parent, &spec, &config).await?;
    let (status, job) = begin(&app, (&caller.claim, &parent), &claim, spec, config).await?;
    Ok((status, Json(job)).into_response())
}

fn read(bytes: &[u8], name: &str) -> Result<JobSpec, Refusal> {
    let spec: JobSpec = serde_json::from_slice(bytes).map_err(|why| Refusal::malformed(&format!("no job: {why}")))?;
    if spec.name.as_str() != name {
        return Err(Refusal::malformed("name: is not the one of the address"));
    }
    spec.check().map_err(|why| Refusal::unfit(why.to_string()))?;
    Ok(spec)
}

/// Whether this build may start this job at all.
fn permit(parent: &Record, spec: &JobSpec, config: &RepoConfig) -> Result<(), Refusal> {
    // One level: who counts the jobs of a build counts all of them, and a script cannot start itself for ever.
    if parent.parent.is_some() {
        return Err(Refusal::forbidden("a job cannot start jobs: let the build that started it start them all"));
    }
    if job::builder(config, parent.trusted).is_none() {
        return Err(Refusal::forbidden(
            "untrusted builds of this repository have a builder of their own, and none for their jobs: \
             set `builders.untrusted_jobs` in the repository's configuration",
        ));
    }
    if parent.trusted {
        grant::named(spec, config)?;
    }
    Ok(())
}

/// Writes the job's name and claim into its parent's record, which counts them. What stands there already stays: a key
/// that is changed while a build runs makes no second job of the first.
async fn enlist(
    app: &App,
    caller: &Caller,
    mut parent: Stored<Record>,
    spec: &JobSpec,
    config: &RepoConfig,
) -> Result<(Record, ClaimId), Refusal> {
    for _ in 0..TRIES {
        if let Some(claim) = parent.value.jobs.get(&spec.name).cloned() {
            return Ok((parent.value, claim));
        }
        if parent.value.stop.is_some() {
            return Err(Refusal::gone("the build is being stopped"));
        }
        if parent.value.jobs.len() >= MOST {
            return Err(Refusal::unfit(format!("a build has at most {MOST} jobs")));
        }
        let claim = claim::of_job(config, &caller.claim, &spec.name);
        let mut record = parent.value;
        record.jobs_bytes += spec.length();
        if record.jobs_bytes > BYTES_MOST {
            return Err(Refusal::unfit(format!("the jobs of a build are at most {BYTES_MOST} bytes of JSON together")));
        }
        record.jobs.insert(spec.name.clone(), claim.clone());
        match app.registry.update(&caller.claim, &record, parent.index, None).await? {
            Written::Yes(_) => return Ok((record, claim)),
            Written::Conflict | Written::LeaseLost => parent = caller.build(app).await?,
        }
    }
    Err(Refusal::later("the record is being written by others"))
}

/// Claims the job and dispatches it, or says how far it is.
async fn begin(
    app: &SharedApp,
    (of, parent): (&ClaimId, &Record),
    claim: &ClaimId,
    spec: JobSpec,
    config: RepoConfig,
) -> Result<(StatusCode, Job), Refusal> {
    let builder = job::builder(&config, parent.trusted).unwrap_or(&config.job_builder);
    let child = Child { of, parent, claim, spec: &spec, builder };
    let record = child.record(nonce()?, jiff::Timestamp::now());
    match app.registry.claim(claim, &record).await? {
        Claimed::Won(index) => {
            let (claim_text, of, job) = (Some(claim.as_str()), Some(of.as_str()), Some(spec.name.as_str()));
            let verdict = if record.phase == Phase::Held { "held" } else { "started" };
            Line { verdict, claim: claim_text, of, reason: job, ..Line::of_record(&record) }.write("job");
            if record.phase == Phase::Claimed {
                dispatch(app, claim, Stored { value: record.clone(), index }, config.clone()).await;
            }
            let job = match tracked(app, claim).await? {
                Tracked::Open(stored) => shown::open(&spec.name, claim, &stored.value, Some(&config)),
                Tracked::Done(done) => shown::done(&spec.name, claim, &done),
                Tracked::Not => shown::open(&spec.name, claim, &record, Some(&config)),
            };
            Ok((StatusCode::CREATED, job))
        }
        Claimed::Open(stored) if stored.value.job.as_deref() == Some(&spec) => {
            Ok((StatusCode::OK, shown::open(&spec.name, claim, &stored.value, Some(&config))))
        }
        Claimed::Done(done) if done.job_hash.as_deref() == Some(&spec.hash()) => {
            Ok((StatusCode::OK, shown::done(&spec.name, claim, &done)))
        }
        Claimed::Open(_) | Claimed::Done(_) => {
            Err(Refusal::conflict("the build has another job of this name: choose another name"))
        }
    }
}

/// Dispatches, as long as the answer can wait; what takes longer goes on, and what fails is the follower's.
async fn dispatch(app: &SharedApp, claim: &ClaimId, stored: Stored<Record>, config: RepoConfig) {
    let work = tokio::spawn({
        let (app, claim) = (SharedApp::clone(app), claim.clone());
        async move { dispatch::advance(&app, &claim, stored, &config).await }
    });
    let claim = claim.as_str();
    match tokio::time::timeout(DISPATCHED_WITHIN, work).await {
        Ok(Ok(Ok(Advanced::Dispatched(_) | Advanced::Elsewhere(_) | Advanced::Gone))) | Err(_) => {}
        Ok(Ok(Err(AdvanceError::Permanent(why) | AdvanceError::NotOurs(why)))) => {
            tracing::warn!(claim, why, "a job cannot be dispatched");
        }
        Ok(Ok(Err(AdvanceError::Passing(error)))) => {
            tracing::warn!(claim, error = &*error as &dyn std::error::Error, "a job is to be dispatched later");
        }
        Ok(Err(error)) => tracing::error!(claim, %error, "a job's task failed"),
    }
}
