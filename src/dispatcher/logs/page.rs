//! A log as a page: a window of its lines, and links to all other parts and logs of the build.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;

use super::ask::{Ask, LinesAsk, LogQuery};
use super::links::{Group, Links, Range};
use super::window::{LogWindow, WindowAsk, window};
use crate::dispatcher::answer::Problem;
use crate::dispatcher::known::Known;
use crate::dispatcher::pages::{Chrome, page};
use crate::dispatcher::signin::Visitor;
use crate::dispatcher::{App, SharedApp};
use crate::domain::id::BuilderName;

/// Lines of a page.
pub(super) const LINES: u64 = 2000;

/// `log.html`
#[derive(Debug, Template)]
#[template(path = "log.html", config = "src/dispatcher/pages/askama.toml")]
struct LogPage {
    chrome: Chrome,
    build: String,
    build_href: String,
    raw_href: String,
    page_href: String,
    /// Where the lines behind these come from; none where others follow these.
    events_href: Option<String>,
    groups: Vec<Group>,
    hint: Option<&'static str>,
    range: Option<Range>,
    log: LogWindow,
}

/// The page of what is asked for. What cannot be read is told on it, so that the ways to the other logs stay.
pub(super) async fn show(
    app: &SharedApp,
    known: &Known,
    (ask, query): (&Ask, &LogQuery),
    visitor: &Visitor,
) -> Result<Response, Problem> {
    let lines = LinesAsk::of(query)?;
    let count = usize::try_from(LINES).unwrap_or(usize::MAX);
    let (status, log) = match window(app, known, &WindowAsk::of(ask, lines, count)).await {
        Ok(log) => (StatusCode::OK, log),
        Err(problem) if problem.status == StatusCode::NOT_FOUND => return Err(problem),
        Err(problem) if problem.status == StatusCode::SERVICE_UNAVAILABLE => {
            (problem.status, LogWindow::not_now(known, problem.sentence))
        }
        Err(problem) => (problem.status, LogWindow::nothing(problem.sentence)),
    };
    let has_store = app.store.is_some();
    let links = Links::new(app, known, ask, query.key.as_ref());
    let is_at_end = log.next == log.reach;
    let mut groups = vec![links.tasks(has_controller(app, known).await), links.streams(has_store)];
    groups.extend(has_store.then(|| links.times()).flatten());
    groups.retain(|group| group.choices.len() > 1);
    let log_page = LogPage {
        chrome: Chrome::new(app, format!("Log of {}", known.build)).seen_by(visitor),
        build: known.build.to_string(),
        build_href: links.build(),
        raw_href: links.raw(),
        page_href: links.page(None),
        events_href: (log.is_open && is_at_end).then(|| links.page(None)),
        groups,
        hint: (!has_store).then_some(WITHOUT_STORE),
        range: links.range(&log),
        log,
    };
    Ok(page(status, &log_page))
}

const WITHOUT_STORE: &str = "When each line came, and both streams in order, are known where logs are archived; this \
                             server archives none (ALBATROS_STORE).";

/// Whether there are logs of a preparation and of a sidecar; without an answer no link to them is shown.
async fn has_controller(app: &App, known: &Known) -> bool {
    let Ok(builder) = known.build.builder().parse::<BuilderName>() else { return false };
    match app.engine.builder(&builder).await {
        Ok(shape) => shape.has_controller,
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "a builder could not be read for a page");
            false
        }
    }
}
