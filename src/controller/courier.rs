//! Takes the report to serve: whole, again after each change, but not more often than serve likes it. On one machine the
//! engine finds it in a file.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::sleep;

use super::exchange::Pause;
use super::session::Session;
use super::{SharedApp, Source};
use crate::api::session::{SessionError, SessionServer};
use crate::domain::id::ClaimId;
use crate::domain::report::Report;
use crate::domain::secret::Secret;

/// Changes are gathered for so long; a script may report each of its steps.
const GATHER: Duration = Duration::from_secs(1);

/// Where a report goes: nowhere, for a build that serve knows nothing of.
#[derive(Debug)]
pub(super) struct Courier(Option<Way>);

#[derive(Debug)]
enum Way {
    /// Over the build's session.
    Server { server: SessionServer, claim: ClaimId, secret: Secret },
    /// To whoever has started this process.
    File(PathBuf),
}

impl Courier {
    pub(super) fn of(source: &Source, secret: &Secret) -> Self {
        Self(match source {
            Source::Server { server, claim, .. } => {
                Some(Way::Server { server: server.clone(), claim: claim.clone(), secret: secret.clone() })
            }
            Source::Given { report, .. } => report.clone().map(Way::File),
            Source::Nowhere(_) => None,
        })
    }

    /// Delivers each change, for as long as the controller lives.
    pub(super) async fn run(self, app: SharedApp) {
        let mut news = app.reports.news();
        // A subscription counts what was there before as seen.
        news.mark_changed();
        let mut session = app.session.subscribe();
        let decided = session.wait_for(|session| !matches!(session, Session::Waiting)).await;
        let granted = decided.is_ok_and(|session| matches!(*session, Session::Granted(_)));
        let way = self.0.filter(|_| granted);
        while news.changed().await.is_ok() {
            if *news.borrow_and_update() == 0 {
                continue;
            }
            tokio::select! {
                () = sleep(GATHER) => {}
                () = app.reports.at_once.notified() => {}
            }
            news.mark_unchanged();
            match &way {
                Some(way) => way.deliver(&app).await,
                None => app.reports.settled(app.reports.now().0),
            }
        }
    }
}

impl Way {
    /// Until serve has the newest report, or has said that it will not have it.
    async fn deliver(&self, app: &SharedApp) {
        let mut pause = Pause::default();
        loop {
            let (version, report) = app.reports.now();
            let sent = match self {
                Self::Server { server, claim, secret } => server.report(claim, secret, &report).await,
                Self::File(path) => {
                    if let Err(error) = write(path, &report) {
                        tracing::warn!(%error, "the report could not be written down");
                    }
                    Ok(())
                }
            };
            match sent {
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
}

/// Written beside and renamed, so that it is there whole or not at all.
fn write(path: &Path, report: &Report) -> io::Result<()> {
    let beside = path.with_extension("new");
    std::fs::write(&beside, serde_json::to_vec(report)?)?;
    std::fs::rename(&beside, path)
}

/// Whether asking again changes nothing.
fn refused(error: &SessionError) -> bool {
    error.status().is_some_and(|status| status.is_client_error() && status.as_u16() != 429 && status.as_u16() != 408)
}
