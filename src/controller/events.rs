//! Events: the script tells, everybody in the build listens.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::sleep;
use utoipa::ToSchema;

use super::access::{Either, OfBuild, Right};
use super::answer::Refusal;
use super::body::{content_type, take};
use super::openapi::{Sending, Token};
use super::{Phase, SharedApp};

/// The longest data of an event, as JSON, bytes.
const DATA: usize = 4 * 1024;
/// The longest body: data, type, and some room for how it is written.
const BODY: usize = DATA + 1024;
/// The longest type.
const TYPE: usize = 64;
/// Types that begin so are ours.
const OURS: &str = "albatros.";
/// So often a reader hears something though nothing happens.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// An event of a script.
#[derive(Deserialize, ToSchema)]
struct Event {
    /// 1 to 64 of `a-z 0-9 . _ -`; those that begin with `albatros.` are not the script's.
    #[serde(rename = "type")]
    kind: String,
    /// At most 4 KiB of JSON.
    #[serde(default)]
    data: Value,
}

/// An event that is told.
#[derive(Serialize, ToSchema)]
#[schema(as = EventTold)]
pub(super) struct Told {
    /// Its number.
    id: u64,
}

/// Tells an event to all that listen in the build
#[utoipa::path(post, path = "/v1/events", tag = "script", security(("script" = [])), operation_id = "tell_event", request_body = Event,
    responses((status = 200, description = "It is told.", body = Told),
        (status = 400, description = "It cannot be read."),
        (status = 415, description = "It is not `application/json`."),
        (status = 422, description = "Its type is none that a script may use."), Token, Sending),)]
pub(super) async fn write(OfBuild(app): OfBuild, headers: HeaderMap, body: Body) -> Result<Json<Told>, Refusal> {
    if content_type(&headers) != "application/json" {
        return Err(Refusal::wrong_type("an event is application/json"));
    }
    let bytes = take(body, &headers, BODY).await?;
    let wrong = |error| Refusal::new(StatusCode::BAD_REQUEST, format!("the event cannot be read: {error}"));
    let event: Event = serde_json::from_slice(&bytes).map_err(wrong)?;
    check(&event.kind)?;
    let data = event.data.to_string();
    if data.len() > DATA {
        return Err(Refusal::too_large(format!("the event's data is larger than {DATA} bytes")));
    }
    Ok(Json(Told { id: app.events.add(&event.kind, &data) }))
}

fn check(kind: &str) -> Result<(), Refusal> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    if !(1..=TYPE).contains(&kind.len()) || !kind.bytes().all(fits) {
        return Err(Refusal::senseless(format!("type: expected 1 to {TYPE} of the characters a-z 0-9 . _ -")));
    }
    if kind.starts_with(OURS) {
        return Err(Refusal::senseless(format!("type: those that begin with {OURS} are not the script's")));
    }
    Ok(())
}

/// What is told in the build, from now on
///
/// Server-sent events. With `Last-Event-ID` first what came after that one, as far as it is still known.
#[utoipa::path(get, path = "/v1/events", tag = "script", security(("script" = []), ("trusted" = [])), operation_id = "follow_events",
    params(("Last-Event-ID" = Option<u64>, Header, description = "The last event that is known.")),
    responses((status = 200, description = "Events, until the build is over.", body = String, content_type = "text/event-stream"),
        (status = 400, description = "`Last-Event-ID` is no number."),
        (status = 429, description = "Too many listen."), Token),)]
pub(super) async fn read(asked: Either, headers: HeaderMap) -> Result<Response, Refusal> {
    let Either { app, right, readers } = asked;
    let busy = |_full| Refusal::busy("too many readers of events");
    let place = Arc::clone(&readers).try_acquire_owned().map_err(busy)?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let cursor = match last.map(str::parse) {
        None => 0,
        Some(Ok(id)) => id,
        Some(Err(_)) => return Err(Refusal::new(StatusCode::BAD_REQUEST, "Last-Event-ID: expected a number")),
    };
    let (news, phase) = (app.events.news(), app.phase.subscribe());
    let reader = Reader { app, right, news, phase, cursor, _place: place };
    let frames = unfold(reader, async |mut reader| {
        let frame = reader.next().await?;
        Some((Ok::<_, Infallible>(frame), reader))
    });
    Ok(([(CONTENT_TYPE, "text/event-stream")], Body::from_stream(frames)).into_response())
}

/// One listener. It holds a place and a number, never events: who reads slowly misses some, and is told so.
struct Reader {
    app: SharedApp,
    right: Right,
    news: watch::Receiver<u64>,
    phase: watch::Receiver<Phase>,
    cursor: u64,
    _place: OwnedSemaphorePermit,
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.news.borrow_and_update();
            let over = *self.phase.borrow_and_update() >= self.right.ends();
            if let Some(frame) = self.app.events.after(&mut self.cursor) {
                return Some(frame);
            }
            if over {
                return None;
            }
            tokio::select! {
                _ = self.news.changed() => {}
                _ = self.phase.changed() => {}
                () = sleep(COMMENT_EVERY) => return Some(Bytes::from_static(b":\n\n")),
            }
        }
    }
}
