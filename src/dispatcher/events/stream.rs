//! The answer that one reader gets: events as they come, a sign of life now and then, an end.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, stream};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::frame::{HEARTBEAT, RETRY};
use crate::dispatcher::App;
use crate::registry::Index;

/// Between two signs of life, at most.
const QUIET_FOR: Duration = Duration::from_secs(15);

/// One reader's place.
#[derive(Debug)]
pub(crate) struct Seat {
    readers: Gauge,
    _permit: OwnedSemaphorePermit,
}

impl Seat {
    pub(super) fn new(permit: OwnedSemaphorePermit, readers: Gauge) -> Self {
        readers.inc();
        Self { readers, _permit: permit }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.readers.dec();
    }
}

/// The last event that a reader has got, if it has got any.
pub(super) fn last_event_id(headers: &HeaderMap) -> Option<Index> {
    let told = headers.get("last-event-id")?.to_str().ok()?;
    told.trim().parse().ok().map(Index)
}

/// The stream of these events. It ends with them, or when the server stops.
pub(super) fn answer(app: &App, seat: Seat, events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let reader = Reader { events: events.boxed(), shutdown: app.shutdown.clone(), begun: false, _seat: seat };
    let body = stream::unfold(reader, |mut reader| async move {
        let piece = reader.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(piece), reader))
    });
    let header = |name: HeaderName, value| (name, HeaderValue::from_static(value));
    let headers = [
        header(CONTENT_TYPE, "text/event-stream"),
        header(CACHE_CONTROL, "no-store"),
        header(VARY, "accept, cookie"),
        header(HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (StatusCode::OK, headers, Body::from_stream(body)).into_response()
}

/// There is nothing more to come: an `EventSource` that is told so does not ask again.
pub(super) fn nothing_more() -> Response {
    (StatusCode::NO_CONTENT, [(VARY, HeaderValue::from_static("accept, cookie"))]).into_response()
}

struct Reader {
    events: BoxStream<'static, Bytes>,
    shutdown: CancellationToken,
    begun: bool,
    _seat: Seat,
}

impl Reader {
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.begun, true) {
            return Some(RETRY);
        }
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => None,
            event = self.events.next() => event,
            () = tokio::time::sleep(QUIET_FOR) => Some(HEARTBEAT),
        }
    }
}
