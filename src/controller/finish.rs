//! `POST /v1/finish`: the script has ended.

use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::timeout;

use super::Phase;
use super::access::Script;
use super::answer::Refusal;

/// A report that has not been delivered by then is given up: the build ends with or without it.
const DELIVERED_WITHIN: Duration = Duration::from_secs(20);
/// serve stops the jobs of a build that has ended by itself: this only spares them a little time.
const STOPPED_WITHIN: Duration = Duration::from_secs(3);

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
    app.jobs.close();
    if timeout(STOPPED_WITHIN, app.jobs.told()).await.is_err() {
        tracing::warn!("serve was not told in time to stop the build's jobs: it stops them when the build has ended");
    }
    if !app.reports.delivered(DELIVERED_WITHIN).await {
        tracing::warn!("the report could not be delivered in time");
    }
    Ok(StatusCode::NO_CONTENT)
}
