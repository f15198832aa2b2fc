//! What a script asks of its jobs.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::super::access::{Either, OfBuild};
use super::super::answer::Refusal;
use super::super::body::take;
use super::super::openapi::{Sending, Token, Undecided};
use super::super::session::Decided;
use super::super::{App, Phase};
use super::secrets;
use crate::domain::duration::Span;
use crate::domain::id::JobName;
use crate::domain::job::JobSpec;
use crate::domain::job::plan::PLAN_MOST;
use crate::domain::job::view::{JobView, Shown};

/// The longest that a request is held.
const WAIT_MOST: Duration = Duration::from_secs(20);

/// Several at once.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Several {
    jobs: Vec<JobSpec>,
}

/// What is to be started.
#[derive(Deserialize, ToSchema)]
#[expect(
    dead_code,
    reason = "described here; what is wrong is told of the form that was meant, so each is read by itself"
)]
#[serde(untagged)]
#[schema(as = JobsWished)]
enum Wished {
    One(Box<JobSpec>),
    Several(Several),
}

/// Starts jobs: one, or several that need each other
#[utoipa::path(post, path = "/v1/jobs", tag = "script", security(("script" = [])), operation_id = "start_jobs", request_body = Wished,
    responses((status = 201, description = "They will be started.", body = Shown), Token, Undecided, Sending),)]
pub(in super::super) async fn make(
    OfBuild(app): OfBuild,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Shown>), Refusal> {
    let bytes = take(body, &headers, PLAN_MOST).await?;
    let jobs = read(&bytes)?;
    app.link().await?;
    if let Decided::Granted(granted) = app.decided().await?
        && let Some(found) = secrets::find(&granted, &jobs)
    {
        return Err(Refusal::senseless(found));
    }
    let names: Vec<JobName> = jobs.iter().map(|job| job.name.clone()).collect();
    app.jobs.add(jobs).map_err(|error| Refusal::senseless(error.to_string()))?;
    let mut shown = app.jobs.shown.borrow().clone();
    shown.jobs.retain(|job| names.contains(&job.name));
    Ok((StatusCode::CREATED, Json(shown)))
}

fn read(bytes: &[u8]) -> Result<Vec<JobSpec>, Refusal> {
    // What is wrong is told of the form that was meant: the untagged one would say that it is neither.
    let wrong = |error: serde_json::Error| Refusal::senseless(format!("a job cannot be read: {error}"));
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(wrong)?;
    if value.get("jobs").is_some() {
        return serde_json::from_value::<Several>(value).map(|several| several.jobs).map_err(wrong);
    }
    serde_json::from_value(value).map(|job| vec![job]).map_err(wrong)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(in super::super) struct Waiting {
    /// How long to wait for news: `20s`, and not longer.
    wait: Option<Span>,
    /// Of the list: the `version` that is known.
    since: Option<u64>,
}

fn wanted(query: Result<Query<Waiting>, QueryRejection>) -> Result<Waiting, Refusal> {
    let wrong = |_error| Refusal::new(StatusCode::BAD_REQUEST, "expected ?wait=20s, and for the list &since=<version>");
    query.map(|Query(waiting)| waiting).map_err(wrong)
}

/// The build's jobs
///
/// Held until one is in another state, where `wait` and `since` say so.
#[utoipa::path(get, path = "/v1/jobs", tag = "script", security(("script" = [])), operation_id = "list_jobs", params(Waiting),
    responses((status = 200, description = "All of them.", body = Shown), (status = 400, description = "The query cannot be read."), Token),)]
pub(in super::super) async fn all(
    OfBuild(app): OfBuild,
    query: Result<Query<Waiting>, QueryRejection>,
) -> Result<Json<Shown>, Refusal> {
    let waiting = wanted(query)?;
    let since = waiting.since.unwrap_or(u64::MAX);
    held(&app, waiting.wait, |shown| shown.version != since).await.map(Json)
}

/// One job
///
/// Held until it is in another state, where `wait` says so.
#[utoipa::path(get, path = "/v1/jobs/{name}", tag = "script", security(("script" = [])), operation_id = "get_job", params(("name" = JobName, Path, description = "The job's name."), Waiting),
    responses((status = 200, description = "The job.", body = JobView), (status = 400, description = "The query cannot be read."),
        (status = 404, description = "The build has no job of that name."), Token),)]
pub(in super::super) async fn one(
    OfBuild(app): OfBuild,
    Path(name): Path<String>,
    query: Result<Query<Waiting>, QueryRejection>,
) -> Result<Json<JobView>, Refusal> {
    let name = named(&name)?;
    let waiting = wanted(query)?;
    let now = find(&app.jobs.shown.borrow(), &name).cloned().ok_or_else(unknown)?;
    let news = |shown: &Shown| now.ended || find(shown, &name) != Some(&now);
    let shown = held(&app, waiting.wait, news).await?;
    find(&shown, &name).cloned().map(Json).ok_or_else(unknown)
}

async fn held(app: &App, wait: Option<Span>, news: impl Fn(&Shown) -> bool) -> Result<Shown, Refusal> {
    let (mut shown, mut phase) = (app.jobs.shown.subscribe(), app.phase.subscribe());
    if let Some(wait) = wait {
        tokio::select! {
            _ = phase.wait_for(|phase| *phase != Phase::Running) => return Err(Refusal::gone()),
            // Nothing new is an answer as well.
            _ = timeout(wait.get().min(WAIT_MOST), shown.wait_for(|shown| news(shown))) => {}
        }
    }
    let now = shown.borrow().clone();
    Ok(now)
}

/// Stops a job
#[utoipa::path(delete, path = "/v1/jobs/{name}", tag = "script", security(("script" = [])), operation_id = "stop_job", params(("name" = JobName, Path, description = "The job's name.")),
    responses((status = 200, description = "The job.", body = JobView),
        (status = 400, description = "The address cannot be read."),
        (status = 404, description = "The build has no job of that name."), Token),)]
pub(in super::super) async fn stop(OfBuild(app): OfBuild, Path(name): Path<String>) -> Result<Json<JobView>, Refusal> {
    let name = named(&name)?;
    if !app.jobs.change(|board| board.stop(&name, "stopped by the build that started it")) {
        return Err(unknown());
    }
    let shown = app.jobs.shown.borrow();
    find(&shown, &name).cloned().map(Json).ok_or_else(unknown)
}

/// What this build itself is to do, where it is a job
#[utoipa::path(get, path = "/v1/job", tag = "script", security(("script" = []), ("trusted" = [])), operation_id = "get_own_job",
    responses((status = 200, description = "The job.", body = JobSpec),
        (status = 404, description = "It is no job of another build."), Token, Undecided),)]
pub(in super::super) async fn own(Either { app, .. }: Either) -> Result<Json<JobSpec>, Refusal> {
    let none = || Refusal::new(StatusCode::NOT_FOUND, "this build is no job of another one");
    match app.decided().await? {
        Decided::Granted(granted) => granted.grant.job.clone().map(|job| Json(*job)).ok_or_else(none),
        Decided::Without(_) => Err(none()),
    }
}

pub(super) fn find<'a>(shown: &'a Shown, name: &JobName) -> Option<&'a JobView> {
    shown.jobs.iter().find(|job| job.name == *name)
}

/// What is no name is none that there is.
pub(super) fn named(text: &str) -> Result<JobName, Refusal> {
    text.parse().map_err(|_wrong| unknown())
}

pub(super) fn unknown() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "this build has no job of that name")
}
