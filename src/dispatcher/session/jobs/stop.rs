//! `DELETE /session/{claim}/jobs/{name}`: stops a job, as a person would.

use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::{Tracked, named, tracked};
use crate::dispatcher::SharedApp;
use crate::dispatcher::held::{self, Stopping};
use crate::dispatcher::openapi::{ClaimPath, Session};
use crate::dispatcher::session::bearer::Bearer;
use crate::dispatcher::session::caller::Caller;
use crate::dispatcher::session::refusal::Refusal;
use crate::domain::id::JobName;
use crate::domain::record::StopWhy;

/// Who stops it, for people.
const BY: &str = "the build that started it";

/// Stops a job
#[utoipa::path(delete, path = "/session/{claim}/jobs/{name}", tag = "controllers", operation_id = "stop_job", params(
        ClaimPath, ("name" = JobName, Path, description = "The job's name."),
    ),
    responses(
        (status = 202, description = "It is being stopped."),
        (status = 204, description = "It is over."),
        (status = 404, description = "The build has started no job of this name."),
        Session,
    ),
    security(("session" = [])),)]
pub(crate) async fn stop(
    State(app): State<SharedApp>,
    Path((claim, name)): Path<(String, String)>,
    Bearer(secret): Bearer,
) -> Result<StatusCode, Refusal> {
    let caller = Caller::of(&claim, &secret)?;
    let _place = app.sessions.place()?;
    let parent = caller.build(&app).await?;
    let (_, claim) = named(&parent.value, &name)?;
    let stored = match tracked(&app, claim).await? {
        Tracked::Open(stored) => *stored,
        Tracked::Done(_) => return Ok(StatusCode::NO_CONTENT),
        Tracked::Not => return Err(Refusal::later("the job is being started")),
    };
    let record = match held::stop_record(&app, claim, stored, StopWhy::Cancel, BY).await? {
        Stopping::Asked(record) => record,
        Stopping::Over(_) | Stopping::Gone => return Ok(StatusCode::NO_CONTENT),
    };
    if let Some(build) = &record.build
        && let Err(error) = app.engine.stop(build).await
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "the engine will be told again");
    }
    Ok(StatusCode::ACCEPTED)
}
