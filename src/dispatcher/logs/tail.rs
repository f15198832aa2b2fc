//! `GET /build`: the log of a build, live, and over when the build is.
//!
//! A range is counted in bytes of the log alone (with the lines that tell of missing bytes), so a ranged answer has no
//! other line of ours. It is always of what there is now: of an ended log with its exact length, else with `*`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use super::ask::{Ask, ByteRange, LogQuery, TASKS};
use super::hub::{JoinError, LogKey, Upstream};
use super::kept::{self, Wanted};
use super::reader::{Lines, Reader, Until, Wish};
use super::spool::{Progress, Seat, Stage};
use super::{both, ending, follow, page};
use crate::dispatcher::access::Credentials;
use crate::dispatcher::answer::Problem;
use crate::dispatcher::builds::{build_id, readable_by_many};
use crate::dispatcher::form::Form;
use crate::dispatcher::known::Known;
use crate::dispatcher::openapi::{BuildPath, LogRefused, Ranged};
use crate::dispatcher::signin::Visitor;
use crate::dispatcher::verdict;
use crate::dispatcher::{App, SharedApp};
use crate::domain::id::{BuildId, BuilderName};
use crate::domain::outcome::{Outcome, Verdict};
use crate::engine::EngineError;

/// How long an answer's head waits for the first word from the engine, so that a refusal can have its own status.
const FIRST_SIGN: Duration = Duration::from_secs(2);
/// A running log that was quiet for so long is taken as all that there is now.
const QUIET: Duration = Duration::from_millis(300);
/// The longest look for what there is now of a running log.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest wait for the whole log of an ended build, when its length must be known.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// The log of a build, by its id in the query
///
/// As it is written, and it ends when the build has. The last line is `albatros: <outcome>` unless `raw=1`.
#[utoipa::path(get, path = "/build", tag = "people", operation_id = "read_log_by_id", params(LogQuery, Ranged),
    responses(
        (status = 200, description = "The log, from its first byte on, until the build has ended.", body = String, content_type = "text/plain"),
        (status = 206, description = "The bytes that `Range` names.", body = String, content_type = "text/plain"),
        LogRefused,
    ),
    security((), ("bearer" = []), ("token" = []), ("key" = [])),)]
pub(crate) async fn build(
    State(app): State<SharedApp>,
    Query(query): Query<LogQuery>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = query.job.as_deref().ok_or_else(|| Problem::bad_request("job=<id of a build> is missing"))?;
    let build = job.parse().map_err(|_no_id| Problem::not_found())?;
    tail(&app, build, Ask::of(&query, &headers)?, &credentials).await
}

/// The log of a build
///
/// The same as `/build?job=`; for browsers a page of lines, and as events each line once it has ended.
#[utoipa::path(get, path = "/builds/{builder}/{child}/log", tag = "people", operation_id = "read_log", params(BuildPath, LogQuery, Ranged),
    responses(
        (status = 200, description = "The log, from its first byte on, until the build has ended.",
            content((String = "text/plain"), (String = "text/html"), (String = "text/event-stream"))),
        (status = 204, description = "To a follower who has been told of the end: nothing more comes."),
        (status = 206, description = "The bytes that `Range` names.", body = String, content_type = "text/plain"),
        LogRefused,
    ),
    security((), ("bearer" = []), ("token" = []), ("key" = [])),)]
pub(crate) async fn build_log(
    State(app): State<SharedApp>,
    Path(path): Path<(String, String)>,
    Query(query): Query<LogQuery>,
    (credentials, visitor): (Credentials, Visitor),
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (build, ask) = (build_id(path)?, Ask::of(&query, &headers)?);
    let known = readable_by_many(&app, &build, &credentials).await?;
    has_task(&app, &build, ask.task).await?;
    match Form::of(&headers) {
        Form::Page => page::show(&app, &known, (&ask, &query), &visitor).await,
        Form::Events => follow::follow(&app, &known, (&ask, &query), credentials, &headers).await,
        Form::Text | Form::Json => sent(&app, &known, &ask).await,
    }
}

async fn tail(app: &SharedApp, build: BuildId, ask: Ask, credentials: &Credentials) -> Result<Response, Problem> {
    let known = readable_by_many(app, &build, credentials).await?;
    has_task(app, &build, ask.task).await?;
    sent(app, &known, &ask).await
}

/// The log of a build's script, for who is known to be allowed to read it.
pub(crate) async fn of_known(
    app: &SharedApp,
    known: &Known,
    query: &LogQuery,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let ask = Ask::of(query, headers)?;
    has_task(app, &known.build, ask.task).await?;
    sent(app, known, &ask).await
}

async fn sent(app: &SharedApp, known: &Known, ask: &Ask) -> Result<Response, Problem> {
    let seat = seat(app, known, &ask.key(&known.build), FIRST_SIGN).await?;
    let view = view(app, known, &seat, ask).await?;
    Ok(respond(app, seat, view))
}

/// A place at a log that there is or may be: what is refused, and what is gone for good, is known after `patience`.
pub(super) async fn seat(app: &SharedApp, known: &Known, key: &LogKey, patience: Duration) -> Result<Seat, Problem> {
    if key.both {
        both::check(&Wanted { app: Arc::clone(app), key: key.clone(), known: known.clone() }).await?;
    }
    let seat = app.logs.join(key, upstream(app, key, known))?;
    match first_sign(app, &seat, patience).await {
        Ok(()) => Ok(seat),
        // The log itself may be there.
        Err(problem) if key.times && problem.status == StatusCode::GONE => {
            Err(Problem { sentence: NO_TIMES.to_owned(), ..problem })
        }
        Err(problem) => Err(problem),
    }
}

const NO_TIMES: &str =
    "only an archive knows when a line came, and there is none of this log: read it without times (ALBATROS_STORE)";

/// Only the executor's log is everybody's; the trusted tasks exist, and print nothing secret, where there is a controller.
pub(super) async fn has_task(app: &App, build: &BuildId, task: &str) -> Result<(), Problem> {
    if TASKS.first() == Some(&task) {
        return Ok(());
    }
    let builder: BuilderName = build.builder().parse().map_err(|_no_name| Problem::not_found())?;
    match app.engine.builder(&builder).await {
        Ok(shape) if shape.has_controller => Ok(()),
        Ok(_) => Err(Problem::not_found()),
        Err(error) => Err(refusal(&error)),
    }
}

fn upstream(app: &SharedApp, key: &LogKey, known: &Known) -> Upstream {
    let wanted = Wanted { app: Arc::clone(app), key: key.clone(), known: known.clone() };
    Upstream {
        source: Box::pin(kept::source(wanted)),
        ending: Box::pin(ending::of(Arc::clone(app), key.build.clone())),
    }
}

impl From<JoinError> for Problem {
    fn from(error: JoinError) -> Self {
        match &error {
            JoinError::Busy(_) | JoinError::Crowded(_) => {}
            JoinError::Spool(_) => tracing::error!(error = &error as &dyn std::error::Error, "no spool"),
        }
        Self::unavailable(error.to_string())
    }
}

fn refusal(error: &EngineError) -> Problem {
    match error {
        EngineError::Unknown(_) => Problem::not_found(),
        EngineError::Unavailable(_) | EngineError::Refused(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "a log could not be read");
            Problem::unavailable("the log cannot be read now: Nomad does not give it; try again")
        }
    }
}

/// Waits a moment for the engine: what it refuses, and what is gone for good, is told by the status of the answer.
async fn first_sign(app: &App, seat: &Seat, patience: Duration) -> Result<(), Problem> {
    let mut progress = seat.watch();
    let there = |now: &Progress| now.len > 0 || now.waiting.is_some() || !matches!(now.stage, Stage::Open);
    wait(&mut progress, patience, there).await;
    let nothing = |now: &Progress| now.len == 0 && matches!(now.stage, Stage::Sealed);
    if nothing(&progress.borrow()) {
        wait(&mut progress, patience, |now| !nothing(now)).await;
    }
    let now = progress.borrow().clone();
    match &now.stage {
        Stage::Failed(error) => match error.as_ref() {
            EngineError::Unknown(_) => Err(gone(app, &now)),
            other @ (EngineError::Unavailable(_) | EngineError::Refused(_)) => Err(refusal(other)),
        },
        Stage::Ended(ending) if now.len == 0 && ending.outcome == Some(Outcome::Expired) => Err(gone(app, &now)),
        Stage::Ended(_) | Stage::Sealed | Stage::Open => Ok(()),
    }
}

pub(super) async fn wait(
    progress: &mut watch::Receiver<Progress>,
    most: Duration,
    until: impl FnMut(&Progress) -> bool,
) {
    // Too late or never: the caller looks at what there is.
    drop(tokio::time::timeout(most, progress.wait_for(until)).await);
}

fn gone(app: &App, now: &Progress) -> Problem {
    let usual = if app.store.is_some() {
        "the log is gone: Nomad has collected this build, and its log was not archived"
    } else {
        "the log is gone: Nomad has collected this build, and Albatros keeps no copy of logs (ALBATROS_STORE)"
    };
    Problem::new(StatusCode::GONE, now.notice.as_deref().unwrap_or(usual))
}

/// What is sent of a log, and what the head says of it.
struct View {
    wish: Wish,
    /// The length of the body where it is known.
    length: Option<u64>,
    /// `Content-Range`; with 206, or with 416 when there is nothing to send.
    range: Option<(StatusCode, String)>,
}

async fn view(app: &App, known: &Known, seat: &Seat, ask: &Ask) -> Result<View, Problem> {
    let lines = if ask.raw { Lines::Missing } else { Lines::All };
    let whole = View { wish: Wish { from: 0, until: Until::End, lines }, length: None, range: None };
    if ask.follow && ask.range.is_none() {
        return Ok(View { length: exact(seat, lines), ..whole });
    }
    let verdict = verdict::of_known(app, known).await?;
    let ended = matches!(verdict, Verdict::Ended(_));
    let Some(range) = ask.range else {
        if ended {
            return Ok(View { length: exact(seat, lines), ..whole });
        }
        let closing = (!ask.raw).then(|| ending::underway(&verdict));
        let until = Until::Byte(settled(seat, QUIET, PATIENCE).await.len, closing);
        return Ok(View { wish: Wish { until, ..whole.wish }, ..whole });
    };
    let now = if ended { sealed(seat).await } else { settled(seat, QUIET, PATIENCE).await };
    Ok(ranged(range, &now))
}

/// The length of a body that is the log and nothing else.
fn exact(seat: &Seat, lines: Lines) -> Option<u64> {
    let now = seat.watch().borrow().clone();
    (lines != Lines::All && now.notice.is_none() && !matches!(now.stage, Stage::Open)).then_some(now.len)
}

fn ranged(range: ByteRange, now: &Progress) -> View {
    let total = if matches!(now.stage, Stage::Open) { "*".to_owned() } else { now.len.to_string() };
    let (from, to, range) = match range.within(now.len) {
        Some((from, to)) => (from, to, (StatusCode::PARTIAL_CONTENT, format!("bytes {from}-{}/{total}", to - 1))),
        None => (0, 0, (StatusCode::RANGE_NOT_SATISFIABLE, format!("bytes */{}", now.len))),
    };
    let wish = Wish { from, until: Until::Byte(to, None), lines: Lines::None };
    View { wish, length: Some(to - from), range: Some(range) }
}

/// What there is once the whole log has been read from the engine.
async fn sealed(seat: &Seat) -> Progress {
    let mut progress = seat.watch();
    wait(&mut progress, WHOLE_WITHIN, |now| !matches!(now.stage, Stage::Open)).await;
    progress.borrow().clone()
}

/// What there is now: all that has come when nothing came for a moment, or when the log will not stop coming.
pub(super) async fn settled(seat: &Seat, quiet: Duration, most: Duration) -> Progress {
    let mut progress = seat.watch();
    let settling = async {
        loop {
            let now = progress.borrow_and_update().clone();
            if now.waiting.is_some() || !matches!(now.stage, Stage::Open) {
                return;
            }
            if tokio::time::timeout(quiet, progress.changed()).await.is_err() {
                return;
            }
        }
    };
    // Out of patience: what has come by now is what there is.
    drop(tokio::time::timeout(most, settling).await);
    progress.borrow().clone()
}

fn respond(app: &App, seat: Seat, view: View) -> Response {
    let reader = Reader::new(seat, view.wish, app.logs.shutdown().clone());
    let mut response = Body::from_stream(reader.into_stream()).into_response();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Some(length) = view.length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some((status, range)) = view.range {
        if let Ok(range) = HeaderValue::try_from(range) {
            headers.insert(CONTENT_RANGE, range);
        }
        *response.status_mut() = status;
    }
    response
}

/// A log is nobody's page: never guessed to be HTML, never kept, never held back by a proxy to fill its buffer.
const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, "text/plain; charset=utf-8"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-accel-buffering"), "no"),
    (ACCEPT_RANGES, "bytes"),
];
