//! Takes a stranger's body: no larger than it may be, no slower, and all of them together within bounds.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Limited};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::answer::Problem;

/// A body must have arrived by then; forges send theirs at once.
const WITHIN: Duration = Duration::from_secs(10);
/// So much of a body that is too large is read for its sender to see why it was refused.
const LINGER: usize = 64 * 1024 * 1024;
/// A body of this size takes no place: what forges send usually fits, and so strangers cannot keep it out.
const SMALL: usize = 64 * 1024;
/// Larger bodies at once. Each is as large as `ALBATROS_BODY_LIMIT` allows, before anybody has proved anything.
const LARGE: usize = 32;

/// Places for large bodies.
#[derive(Debug)]
pub(crate) struct Bodies {
    places: Arc<Semaphore>,
    within: Duration,
}

impl Default for Bodies {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(LARGE)), within: WITHIN }
    }
}

/// The raw bytes; a large body keeps its place as long as they are held.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// The raw bytes, at most `limit` of them.
    pub(crate) async fn take(&self, mut body: Body, headers: &HeaderMap, limit: usize) -> Result<Taken, Problem> {
        let announced = headers.get("content-length").and_then(|value| value.to_str().ok());
        if announced.and_then(|text| text.parse().ok()).is_some_and(|length: u64| length > limit as u64) {
            linger(body);
            return Err(too_large(limit));
        }
        let taken = self.collect(&mut body, limit).await;
        let unread = |problem: &Problem| {
            matches!(problem.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::SERVICE_UNAVAILABLE)
        };
        if taken.as_ref().is_err_and(unread) {
            linger(body);
        }
        taken
    }

    async fn collect(&self, body: &mut Body, limit: usize) -> Result<Taken, Problem> {
        let (mut bytes, mut place) = (BytesMut::new(), None);
        let deadline = Instant::now() + self.within;
        while let Some(frame) = tokio::time::timeout_at(deadline, body.frame()).await.map_err(|_elapsed| slow())? {
            let frame = frame.map_err(|_cut| Problem::bad_request("the body ended before its announced length"))?;
            let Ok(data) = frame.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(too_large(limit));
            }
            if bytes.len() + data.len() > SMALL && place.is_none() {
                let free = tokio::time::timeout_at(deadline, Arc::clone(&self.places).acquire_owned()).await;
                // Never closed; without a place the body is merely not counted.
                place = free.map_err(|_elapsed| busy())?.ok();
            }
            bytes.extend_from_slice(&data);
        }
        Ok(Taken { bytes: bytes.freeze(), _place: place })
    }
}

fn slow() -> Problem {
    Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")
}

fn busy() -> Problem {
    Problem::unavailable("busy: too many large bodies are being taken here; deliver again")
}

fn too_large(limit: usize) -> Problem {
    let sentence = format!("the body is larger than {limit} bytes (ALBATROS_BODY_LIMIT)");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
}

/// Who is still sending when the connection ends never sees the answer: the rest is read and thrown away for a while.
pub(crate) fn linger(body: Body) {
    tokio::spawn(tokio::time::timeout(WITHIN, async move {
        let mut body = Limited::new(body, LINGER);
        while let Some(Ok(_thrown_away)) = body.frame().await {}
    }));
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    async fn taken(bodies: &Bodies, size: usize) -> Result<Taken, Problem> {
        bodies.take(Body::from(vec![b' '; size]), &HeaderMap::new(), 2 * SMALL).await
    }

    #[tokio::test]
    async fn large_bodies_are_bounded_together_and_small_ones_pass() {
        let bodies = Bodies::default();
        let mut held = Vec::new();
        for _ in 0..LARGE {
            held.push(taken(&bodies, SMALL + 1).await.unwrap());
        }
        assert_eq!(taken(&bodies, SMALL).await.unwrap().bytes.len(), SMALL);
        let mut waiting = Box::pin(taken(&bodies, SMALL + 1));
        assert!(waiting.as_mut().now_or_never().is_none(), "it waits for a place");
        held.pop();
        assert_eq!(waiting.await.unwrap().bytes.len(), SMALL + 1);
    }

    #[tokio::test]
    async fn a_body_that_finds_no_place_in_time_is_told_that_we_are_busy() {
        let bodies = Bodies { places: Arc::new(Semaphore::new(0)), within: Duration::from_millis(1) };
        assert_eq!(taken(&bodies, SMALL + 1).await.unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_in_time_is_its_sender_s_fault() {
        let bodies = Bodies { within: Duration::from_millis(1), ..Bodies::default() };
        let never = Body::from_stream(futures_util::stream::pending::<std::io::Result<Bytes>>());
        let refused = bodies.take(never, &HeaderMap::new(), SMALL).await.unwrap_err();
        assert_eq!(refused.status, StatusCode::REQUEST_TIMEOUT);
    }

    #[tokio::test]
    async fn a_body_may_be_as_large_as_its_limit_and_no_larger() {
        let bodies = Bodies::default();
        assert_eq!(taken(&bodies, 2 * SMALL).await.unwrap().bytes.len(), 2 * SMALL);
        assert_eq!(taken(&bodies, 2 * SMALL + 1).await.unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
