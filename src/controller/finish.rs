//! `POST /v1/finish`: the script has ended.

use std::time::Duration;

use axum::http::StatusCode;

use super::Phase;
use super::access::Script;
use super::answer::Refusal;

/// A report that has not been delivered by then is given up: the build ends with or without it.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);

/// The script's token is dead from here on; the report is delivered first, or given up.
pub(super) async fn finish(Script(app): Script) -> Result<StatusCode, Refusal> {
    let first = app.phase.send_if_modified(|phase| {
        let running = *phase == Phase::Running;
        *phase = (*phase).max(Phase::Finished);
        running
    });
    if !first {
        return Err(Refusal::gone());
    }
    app.events.add("albatros.finished", "{}");
    if !app.reports.delivered(DELIVERED_WITHIN).await {
        tracing::warn!("the report could not be delivered in time");
    }
    Ok(StatusCode::NO_CONTENT)
}
