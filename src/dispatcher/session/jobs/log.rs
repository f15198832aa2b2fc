//! `GET /session/{claim}/jobs/{name}/log`: a job's log, as `/build` gives it to people.

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::{Tracked, named, tracked};
use crate::dispatcher::answer::Problem;
use crate::dispatcher::logs::{self, LogQuery};
use crate::dispatcher::openapi::{ClaimPath, Ranged, Session};
use crate::dispatcher::session::bearer::Bearer;
use crate::dispatcher::session::caller::Caller;
use crate::dispatcher::session::refusal::Refusal;
use crate::dispatcher::{SharedApp, known};
use crate::domain::id::JobName;
use crate::domain::record::Phase;

/// The log of a job
#[utoipa::path(get, path = "/session/{claim}/jobs/{name}/log", tag = "controllers", operation_id = "job_log", params(
        ClaimPath, ("name" = JobName, Path, description = "The job's name."), LogQuery, Ranged,
    ),
    responses(
        (status = 200, description = "The log, from its first byte on, until the job has ended.", body = String,
            content_type = "text/plain"),
        (status = 206, description = "The bytes that `Range` names.", body = String, content_type = "text/plain"),
        (status = 404, description = "The build has no such job, or that has no log."),
        (status = 409, description = "The job waits for approval, and has no log yet."),
        (status = 416, description = "The log has no such bytes."),
        Session,
    ),
    security(("session" = [])),)]
pub(crate) async fn log(
    State(app): State<SharedApp>,
    Path((claim, name)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
    Bearer(secret): Bearer,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let caller = Caller::of(&claim, &secret)?;
    let parent = caller.build(&app).await?;
    let (_, claim) = named(&parent.value, &name)?;
    let build = match tracked(&app, claim).await? {
        Tracked::Open(stored) => match (stored.value.build, stored.value.phase) {
            (Some(build), _) => Some(build),
            (None, Phase::Held) => return Err(Refusal::conflict("the job waits for approval, and has no log yet")),
            (None, Phase::Ended { .. }) => None,
            (None, Phase::Waiting | Phase::Claimed | Phase::Dispatched) => {
                return Err(Refusal::later("the job is not dispatched yet"));
            }
        },
        Tracked::Done(done) => done.build,
        Tracked::Not => return Err(Refusal::later("the job is not dispatched yet")),
    };
    let build = build.ok_or_else(|| Refusal::not_found("the job ended before it was dispatched, and has no log"))?;
    let found = known::find_shared(&app, &build).await.map_err(Problem::from)?.ok_or_else(Problem::not_found)?;
    Ok(logs::of_known(&app, &found, &query, &headers).await?)
}
