//! `PUT /session/{claim}/report`: what the script says of itself, told by its controller: whole, each time anew.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};

use super::bearer::Bearer;
use super::proof::Proof;
use super::refusal::Refusal;
use crate::dispatcher::{App, SharedApp};
use crate::domain::id::ClaimId;
use crate::domain::record::{Phase, Record};
use crate::domain::report::{REPORT_LIMIT, Report};
use crate::registry::{Stored, Written};

/// Tries of one write against other writers of the same record.
const TRIES: usize = 10;

/// `PUT /session/{claim}/report`
pub(crate) async fn report(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    Bearer(secret): Bearer,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let proof = Proof::of(&secret).ok_or_else(stranger)?;
    let claim: ClaimId = claim.parse().map_err(|_no_claim| stranger())?;
    let _place = app.sessions.place()?;
    // Before the body is taken: who has no session costs one read.
    open(&app, &claim, &proof).await?;
    let taken = app.bodies.take(body, &headers, REPORT_LIMIT).await?;
    let report: Report = serde_json::from_slice(&taken.bytes).map_err(|_words| Refusal::malformed("not a report"))?;
    keep(&app, &claim, &proof, &report.cleaned()).await.inspect_err(|refusal| app.sessions.unkept(&claim, refusal))
}

fn stranger() -> Refusal {
    Refusal::forbidden("this is not the secret of the build's session")
}

/// The record of a build that runs, for who holds its session.
async fn open(app: &App, claim: &ClaimId, proof: &Proof) -> Result<Stored<Record>, Refusal> {
    let Some(stored) = app.registry.open(claim).await? else {
        let done = app.registry.done(claim).await?;
        return Err(if done.is_some() { Refusal::over() } else { stranger() });
    };
    if !proof.is_of(&stored.value) {
        return Err(stranger());
    }
    match stored.value.phase {
        Phase::Ended { .. } => Err(Refusal::over()),
        Phase::Held | Phase::Claimed | Phase::Dispatched => Ok(stored),
    }
}

async fn keep(app: &App, claim: &ClaimId, proof: &Proof, report: &Report) -> Result<StatusCode, Refusal> {
    for _ in 0..TRIES {
        let Stored { value, index } = open(app, claim, proof).await?;
        let (tests, trouble) = (report.tests.as_ref().map(|tests| tests.counts), report.trouble.clone());
        let record = Record { tests, trouble, ..value };
        match app.registry.keep_report(claim, &record, index, report).await? {
            Written::Yes(_) => return Ok(StatusCode::NO_CONTENT),
            Written::Conflict | Written::LeaseLost => {}
        }
    }
    Err(Refusal::later("the record is being written by others"))
}
