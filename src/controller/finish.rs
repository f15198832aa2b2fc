//! `POST /v1/finish`: the script has ended.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::HeaderMap;
use serde::Deserialize;
use tokio::time::timeout;
use utoipa::ToSchema;

use super::Phase;
use super::access::Script;
use super::answer::Refusal;
use super::body::take;
use super::openapi::{Sending, Token};
use crate::api::controller::{Finished, ScriptEnd, Unsaved};
use crate::domain::blob::BlobKind;
use crate::domain::outcome::Machine;

/// A report that has not been delivered by then is given up: the build ends with or without it.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);
/// serve stops the jobs of a build that has ended by itself: this only spares them a little time.
const STOPPED_WITHIN: Duration = Duration::from_secs(3);
/// The longest body: an exit code.
const BODY: usize = 1024;

/// How the script has ended.
#[derive(Deserialize, ToSchema)]
struct Exit {
    exit_code: u8,
    /// Of a build in a machine of its own: the key that its host has given, without which nobody else ends it.
    #[serde(default)]
    machine: Option<String>,
    /// Why such a build is none, whatever its script has ended with: its workspace did not come back.
    #[serde(default)]
    trouble: Option<String>,
}

/// Says that the script has ended
///
/// Its token is dead from then on. What is to be kept is kept first.
#[utoipa::path(post, path = "/v1/finish", tag = "script", security(("script" = [])), request_body = Exit,
    responses((status = 200, description = "What is to be said of it.", body = Finished),
        (status = 422, description = "It is no exit code."), Token, Sending),)]
pub(super) async fn finish(Script(app): Script, headers: HeaderMap, body: Body) -> Result<Json<Finished>, Refusal> {
    let bytes = take(body, &headers, BODY).await?;
    let wrong = |_error| Refusal::senseless("expected {\"exit_code\": 0}");
    let Exit { exit_code, machine, trouble: of_host } = serde_json::from_slice(&bytes).map_err(wrong)?;
    let in_machine = app.machine.opened_by(machine.as_deref())?;
    let first = app.phase.send_if_modified(|phase| {
        let running = *phase == Phase::Running;
        *phase = (*phase).max(Phase::Finished);
        running
    });
    if !first {
        return Err(Refusal::gone());
    }
    if in_machine {
        app.reports.machine(Machine::Ended { exit_code: Some(exit_code) });
    }
    app.events.add("albatros.finished", "{}");
    app.jobs.close();
    if timeout(STOPPED_WITHIN, app.jobs.told()).await.is_err() {
        tracing::warn!("serve was not told in time to stop the build's jobs: it stops them when the build has ended");
    }
    let ended = if exit_code == 0 { ScriptEnd::Success } else { ScriptEnd::Failure };
    let unsaved = app.saves.settle(ended).await;
    let (failed, notes): (Vec<_>, Vec<_>) = unsaved.iter().partition(|unsaved| unsaved.kind == BlobKind::Artifact);
    let trouble = of_host.filter(|_| in_machine).or_else(|| failed.first().map(|first| trouble(first, failed.len())));
    if let Some(trouble) = &trouble {
        app.reports.trouble(trouble);
    }
    if !app.reports.delivered(DELIVERED_WITHIN).await {
        tracing::warn!("the report could not be delivered in time");
    }
    Ok(Json(Finished { trouble, notes: notes.into_iter().map(sentence).collect() }))
}

fn trouble(first: &Unsaved, count: usize) -> String {
    match count {
        0 | 1 => sentence(first),
        count => format!("{} (and {} more)", sentence(first), count - 1),
    }
}

fn sentence(unsaved: &Unsaved) -> String {
    format!("{} {} could not be kept: {}", unsaved.kind.word(), unsaved.id, unsaved.reason)
}
