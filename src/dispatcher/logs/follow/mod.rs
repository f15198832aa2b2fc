//! A log's lines as they come, for a page that follows: `GET …/log` as server-sent events.
//!
//! `lines` carries lines that have ended, and its id is the number of the line behind them; `part` the line that has not
//! ended yet; `wait` why nothing comes; `end` how the build ended, and then the stream ends. A reader's own state is a
//! number: lines are converted once for all who follow the end. Without an `end`, a browser comes again.

#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{Stream, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ask::{Ask, LinesAsk, LogQuery};
use super::lines::{PIECE, Reach, Wanted};
use super::spool::{Ending, Progress, Seat, Stage};
use super::{tail, told};
use crate::dispatcher::access::{self, Credentials};
use crate::dispatcher::answer::Problem;
use crate::dispatcher::known::Known;
use crate::dispatcher::{SharedApp, events};
use crate::domain::ansi::Layout;

/// How long an answer's head waits for the first word from the engine.
const FIRST_SIGN: Duration = Duration::from_secs(2);
/// A comment is sent after so long a silence.
const ALIVE: Duration = Duration::from_secs(15);
/// A right that is taken away ends what was begun with it, not later than this.
const ASKED_AGAIN: Duration = ALIVE;
/// What comes within so short a time is sent together.
const TOGETHER: Duration = Duration::from_millis(100);
/// Nobody waits for longer until what has come is converted: he is told how far it is.
const CONVERTED_WITHIN: Duration = Duration::from_secs(1);
/// Lines that are sent together to a reader who is behind.
const LINES: usize = 1000;
/// Who reads a page is not told of lines that are gone from it before he can see them: behind by more than this many…
const BEHIND: u64 = 5000;
/// … he goes on with so many.
const LEFT: u64 = 1000;
/// A reader who had to skip is given a moment to show what he has got.
const SKIP_PAUSE: Duration = Duration::from_millis(250);

/// The answer that follows a log from `Last-Event-ID`, else from `?from=`, else from its first line.
pub(super) async fn follow(
    app: &SharedApp,
    known: &Known,
    (ask, query): (&Ask, &LogQuery),
    credentials: Credentials,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let lines = LinesAsk::of(query)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
    if last.ends_with(told::END) {
        // A browser that has been told all comes no more after this.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let key = ask.key(&known.build);
    let place = events::seat(app)?;
    let seat = tail::seat(app, known, &key, FIRST_SIGN).await?;
    let follower = Follower {
        at: last.parse().ok().or(lines.from).unwrap_or(1).max(1),
        skip: lines.skip,
        ..Follower::new(seat, key.layout(), app.logs.shutdown().clone(), right(app, known, credentials))
    };
    let events = follower.into_stream().map(move |event| {
        let _until_the_last = &place;
        event
    });
    let mut response = Body::from_stream(events).into_response();
    response.headers_mut().extend(HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    Ok(response)
}

const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_TYPE, "text/event-stream"),
    (CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-accel-buffering"), "no"),
    (VARY, "accept, cookie"),
];

/// Says whether a reader may still read.
type Right = Box<dyn Fn() -> BoxFuture<'static, bool> + Send + Sync>;

fn right(app: &SharedApp, known: &Known, credentials: Credentials) -> Right {
    let held = Arc::new((Arc::clone(app), known.clone(), credentials));
    Box::new(move || {
        let held = Arc::clone(&held);
        Box::pin(async move {
            let (app, known, credentials) = &*held;
            access::may_read(app, known, credentials).await.unwrap_or(false)
        })
    })
}

/// One reader who follows.
struct Follower {
    seat: Seat,
    layout: Layout,
    progress: watch::Receiver<Progress>,
    shutdown: CancellationToken,
    right: Right,
    /// When he is asked for his right again.
    asked_at: Instant,
    /// The number of the next line.
    at: u64,
    skip: bool,
    is_greeted: bool,
    /// What he was told to wait for.
    waits: Option<Arc<str>>,
    /// So many bytes had come when he was told of a line that has not ended.
    part: u64,
    over: bool,
}

impl Follower {
    /// One who follows from the first line on.
    fn new(seat: Seat, layout: Layout, shutdown: CancellationToken, right: Right) -> Self {
        Self {
            progress: seat.watch(),
            seat,
            layout,
            shutdown,
            right,
            asked_at: Instant::now() + ASKED_AGAIN,
            at: 1,
            skip: false,
            is_greeted: false,
            waits: None,
            part: 0,
            over: false,
        }
    }

    fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        futures_util::stream::unfold(self, |mut follower| async move {
            let event = follower.next().await?;
            Some((event, follower))
        })
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if !self.is_greeted {
            self.is_greeted = true;
            return Some(Ok(Bytes::from_static(told::RETRY)));
        }
        if self.over {
            return None;
        }
        let told = self.event().await;
        if let Err(error) = &told {
            tracing::error!(%error, "a spooled log could not be read");
        }
        self.over |= told.is_err();
        told.transpose()
    }

    /// The next event; none when the server stops, when he may not read any more, and when it is for another try.
    async fn event(&mut self) -> io::Result<Option<Bytes>> {
        let silent_until = Instant::now() + ALIVE;
        loop {
            if !self.may_go_on().await {
                return Ok(None);
            }
            let now = self.progress.borrow_and_update().clone();
            let until = Instant::now() + CONVERTED_WITHIN;
            let reach = self.seat.lines(self.layout).grow(&self.seat, &now, until).await?;
            if self.skip && reach.next.saturating_sub(self.at) > BEHIND {
                sleep(SKIP_PAUSE).await;
                self.at = reach.next - LEFT;
            }
            if self.at < reach.next {
                return self.lines(reach.next).await;
            }
            if !reach.is_caught_up {
                self.progress.mark_changed();
            } else if let Some(event) = self.last(&now, &reach) {
                return Ok(Some(event));
            } else if matches!(now.stage, Stage::Failed(_)) {
                return Ok(None);
            } else if let Some((at, event)) = self.seat.lines(self.layout).partial().await
                && at != self.part
            {
                self.part = at;
                return Ok(Some(event));
            }
            tokio::select! {
                () = self.shutdown.cancelled() => return Ok(None),
                () = sleep_until(silent_until) => return Ok(Some(Bytes::from_static(told::ALIVE))),
                changed = self.progress.changed() => if changed.is_err() {
                    return Ok(None);
                },
            }
            sleep(TOGETHER).await;
        }
    }

    async fn may_go_on(&mut self) -> bool {
        if Instant::now() < self.asked_at {
            return true;
        }
        self.asked_at = Instant::now() + ASKED_AGAIN;
        (self.right)().await
    }

    async fn lines(&mut self, before: u64) -> io::Result<Option<Bytes>> {
        let lines = self.seat.lines(self.layout);
        let piece = match lines.ready(self.at).await {
            Some(piece) => Some(piece),
            None => {
                let wanted = Wanted { from: self.at, before, count: LINES, cost: PIECE };
                told::lines(&lines.from(&self.seat, wanted).await?)
            }
        };
        let Some(piece) = piece else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        self.at = piece.next;
        Ok(Some(piece.event))
    }

    /// What is told behind the last line there is.
    fn last(&mut self, now: &Progress, reach: &Reach) -> Option<Bytes> {
        if now.waiting.is_some() && now.waiting != self.waits {
            self.waits.clone_from(&now.waiting);
            return now.waiting.as_deref().map(told::wait);
        }
        let note = now.notice.as_deref();
        match &now.stage {
            Stage::Ended(ending) if reach.is_all => {
                self.over = true;
                Some(told::end(reach.next, ending, note))
            }
            Stage::Failed(error) if now.stage.is_final() => {
                self.over = true;
                let ending = Ending { sentence: error.to_string(), outcome: None };
                Some(told::end(reach.next, &ending, note))
            }
            Stage::Ended(_) | Stage::Failed(_) | Stage::Sealed | Stage::Open => None,
        }
    }
}
