//! Takes the report to serve: whole, again after each change, but not more often than serve likes it.

use std::time::Duration;

use tokio::time::sleep;

use super::SharedApp;
use super::exchange::Pause;
use super::session::Session;
use super::upstream::Upstream;
use crate::api::session::SessionError;

/// Changes are gathered for so long; a script may report each of its steps.
const GATHER: Duration = Duration::from_secs(1);

/// Delivers each change, for as long as the controller lives.
pub(super) async fn run(app: SharedApp) {
    let mut news = app.reports.news();
    // A subscription counts what was there before as seen.
    news.mark_changed();
    let mut session = app.session.subscribe();
    let decided = session.wait_for(|session| !matches!(session, Session::Waiting)).await;
    let granted = decided.is_ok_and(|session| matches!(*session, Session::Granted(_)));
    let upstream = app.upstream.as_ref().filter(|_| granted);
    while news.changed().await.is_ok() {
        if *news.borrow_and_update() == 0 {
            continue;
        }
        tokio::select! {
            () = sleep(GATHER) => {}
            () = app.reports.at_once.notified() => {}
        }
        news.mark_unchanged();
        match upstream {
            Some(upstream) => deliver(upstream, &app).await,
            None => app.reports.settled(app.reports.now().0),
        }
    }
}

/// Until serve has the newest report, or has said that it will not have it.
async fn deliver(upstream: &Upstream, app: &SharedApp) {
    let mut pause = Pause::default();
    loop {
        let (version, report) = app.reports.now();
        match upstream.report(&report).await {
            Ok(()) => return app.reports.settled(version),
            Err(error) if refused(&error) => {
                tracing::warn!(%error, "serve does not take the report");
                return app.reports.settled(version);
            }
            Err(error) => {
                tracing::warn!(%error, "the report could not be delivered yet");
                tokio::select! {
                    () = sleep(pause.next(None)) => {}
                    () = app.reports.at_once.notified() => {}
                }
            }
        }
    }
}

/// Whether asking again changes nothing.
fn refused(error: &SessionError) -> bool {
    error.status().is_some_and(|status| status.is_client_error() && status.as_u16() != 429 && status.as_u16() != 408)
}
