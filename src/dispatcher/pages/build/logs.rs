//! The logs that stand on a build's page.

use std::time::Duration;

use axum::http::StatusCode;

use crate::dispatcher::SharedApp;
use crate::dispatcher::known::Known;
use crate::dispatcher::logs::{LogWindow, WindowAsk, window};
use crate::dispatcher::pages::address::Address;
use crate::dispatcher::pages::base;
use crate::dispatcher::view::BuildView;

/// Lines of the script's log on its build's page; the log's own page has all of them.
const SCRIPT_LINES: usize = 500;
/// Lines of a preparation that failed.
const PREPARATION_LINES: usize = 20;
/// No log holds up a page for longer: within about a second a window shows what has come, and this is for a disk that hangs.
const WITHIN: Duration = Duration::from_secs(3);

/// What there is to read.
#[derive(Debug, Default)]
pub(super) struct Logs {
    /// Of the log's own page.
    pub(super) address: Option<String>,
    pub(super) script: Option<LogWindow>,
    pub(super) preparation: Option<LogWindow>,
}

impl Logs {
    pub(super) async fn of(app: &SharedApp, view: &BuildView, known: Option<&Known>, key: Option<&str>) -> Self {
        let Some(known) = known else { return Self::default() };
        let address = Address::of_build(base(app), &known.build, key).beneath("/log", "");
        let script = read(app, known, WindowAsk::tail(SCRIPT_LINES));
        let failed_before = view.state == "infra" && view.started.is_none() && view.placed.is_some();
        let preparation = async {
            if !failed_before {
                return None;
            }
            let log = read(app, known, WindowAsk::preparation(PREPARATION_LINES)).await;
            log.filter(|log| !log.lines.is_empty()).map(|log| LogWindow { is_open: false, ..log })
        };
        let (script, preparation) = tokio::join!(script, preparation);
        Self { address: Some(address), script, preparation }
    }
}

/// What cannot be read is told in the log's place.
async fn read(app: &SharedApp, known: &Known, ask: WindowAsk) -> Option<LogWindow> {
    Some(match tokio::time::timeout(WITHIN, window(app, known, &ask)).await {
        Ok(Ok(log)) => log,
        Ok(Err(problem)) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
            LogWindow::not_now(known, problem.sentence)
        }
        Ok(Err(problem)) => LogWindow::nothing(problem.sentence),
        Err(_elapsed) => LogWindow::not_now(known, "the log did not come in time; its own page has more patience"),
    })
}
