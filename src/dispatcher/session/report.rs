//! `PUT /session/{claim}/report`: what the script says of itself, told by its controller: whole, each time anew.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};

use super::bearer::Bearer;
use super::caller::Caller;
use super::refusal::Refusal;
use crate::dispatcher::openapi::{ClaimPath, Sending, Session};
use crate::dispatcher::{App, SharedApp};
use crate::domain::record::Record;
use crate::domain::report::{REPORT_LIMIT, Report};
use crate::registry::{Stored, Written};

/// Tries of one write against other writers of the same record.
const TRIES: usize = 10;

/// Keeps what the script says of itself
///
/// Whole, and again after each change.
#[utoipa::path(put, path = "/session/{claim}/report", tag = "controllers", operation_id = "put_report", params(ClaimPath), request_body = Report,
    responses((status = 204, description = "It is kept."), Session, Sending), security(("session" = [])),)]
pub(crate) async fn report(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    Bearer(secret): Bearer,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let caller = Caller::of(&claim, &secret)?;
    let _place = app.sessions.place()?;
    // Before the body is taken: who has no session costs one read.
    caller.record(&app).await?;
    let taken = app.bodies.take(body, &headers, REPORT_LIMIT).await?;
    let report: Report = serde_json::from_slice(&taken.bytes).map_err(|_words| Refusal::malformed("not a report"))?;
    keep(&app, &caller, &report.cleaned()).await.inspect_err(|refusal| app.sessions.unkept(&caller.claim, refusal))
}

async fn keep(app: &App, caller: &Caller, report: &Report) -> Result<StatusCode, Refusal> {
    for _ in 0..TRIES {
        let Stored { value, index } = caller.record(app).await?;
        // What a workflow has to say its forge shows, to those who may see it; ours is what became of the runner.
        let of_runner = || Report { summary: String::new(), tests: None, ..report.clone() };
        let report = &value.runner.as_ref().map_or_else(|| report.clone(), |_| of_runner());
        let (tests, trouble) = (report.tests.as_ref().map(|tests| tests.counts), report.trouble.clone());
        let record = Record { tests, trouble, machine: report.machine.clone(), ..value };
        match app.registry.keep_report(&caller.claim, &record, index, report).await? {
            Written::Yes(_) => return Ok(StatusCode::NO_CONTENT),
            Written::Conflict | Written::LeaseLost => {}
        }
    }
    Err(Refusal::later("the record is being written by others"))
}
