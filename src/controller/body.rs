//! Takes a script's body: no larger than it may be, and no slower.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Limited};
use tokio::time::Instant;

use super::answer::Refusal;

/// A small body must have arrived by then; the script is on this machine.
const WITHIN: Duration = Duration::from_secs(10);
/// So much of a body that is too large is read for its sender to see why it was refused, and for so long.
const LINGER: usize = 16 * 1024 * 1024;
const LINGER_WITHIN: Duration = Duration::from_secs(2);

/// The whole body, at most `limit` bytes.
pub(super) async fn take(body: Body, headers: &HeaderMap, limit: usize) -> Result<Bytes, Refusal> {
    let mut whole = BytesMut::new();
    let mut frames = Frames::of(body, headers, limit, WITHIN)?;
    while let Some(data) = frames.next().await? {
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// A body, piece by piece.
#[derive(Debug)]
pub(super) struct Frames {
    /// None once it has been refused.
    body: Option<Body>,
    left: usize,
    limit: usize,
    deadline: Instant,
}

impl Frames {
    pub(super) fn of(body: Body, headers: &HeaderMap, limit: usize, within: Duration) -> Result<Self, Refusal> {
        let mut frames = Self { body: Some(body), left: limit, limit, deadline: Instant::now() + within };
        let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        if announced.and_then(|text| text.parse().ok()).is_some_and(|length: u64| length > limit as u64) {
            return Err(frames.too_large());
        }
        Ok(frames)
    }

    /// The next piece; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            let Some(body) = &mut self.body else { return Ok(None) };
            let frame = tokio::time::timeout_at(self.deadline, body.frame()).await;
            let frame = frame
                .map_err(|_elapsed| Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time"))?;
            let Some(frame) = frame else { return Ok(None) };
            let cut = |_cut| Refusal::new(StatusCode::BAD_REQUEST, "the body ended before its announced length");
            // Trailers are no data.
            let Ok(data) = frame.map_err(cut)?.into_data() else { continue };
            self.left = match self.left.checked_sub(data.len()) {
                Some(left) => left,
                None => return Err(self.too_large()),
            };
            return Ok(Some(data));
        }
    }

    fn too_large(&mut self) -> Refusal {
        self.refuse();
        Refusal::too_large(format!("the body is larger than {} bytes", self.limit))
    }

    /// Who is still sending when the connection ends never sees the answer: the rest is read and thrown away for a while.
    pub(super) fn refuse(&mut self) {
        if let Some(body) = self.body.take() {
            discard(body);
        }
    }
}

/// Reads a body that is not wanted, for a while.
pub(super) fn discard(body: Body) {
    tokio::spawn(tokio::time::timeout(LINGER_WITHIN, async move {
        let mut body = Limited::new(body, LINGER);
        while let Some(Ok(_thrown_away)) = body.frame().await {}
    }));
}

/// The content type, without its parameters and in lower case.
pub(super) fn content_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
