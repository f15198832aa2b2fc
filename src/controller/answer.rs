//! What the controller refuses with: problem details, RFC 9457.

use std::time::Duration;

use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::domain::problem::{self, Problem};

/// A status, a kind for programs and a sentence for people. The cause, where there is one, stays in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(super) status: StatusCode,
    kind: &'static str,
    sentence: String,
    retry: Option<HeaderValue>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self::of_kind(status, problem::BLANK, sentence)
    }

    pub(super) fn of_kind(status: StatusCode, kind: &'static str, sentence: impl Into<String>) -> Self {
        Self { status, kind, sentence: sentence.into(), retry: None }
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "a token is needed: Authorization: Bearer $ALBATROS_TOKEN")
    }

    pub(super) fn forbidden(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, sentence)
    }

    pub(super) fn gone() -> Self {
        Self::new(StatusCode::GONE, "the build has ended, and its token with it")
    }

    pub(super) fn too_large(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
    }

    pub(super) fn senseless(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    }

    pub(super) fn wrong_type(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence)
    }

    /// Not decided yet: the caller asks again.
    pub(super) fn waiting(sentence: impl Into<String>) -> Self {
        Self::of_kind(StatusCode::SERVICE_UNAVAILABLE, problem::WAITING, sentence).after("0")
    }

    /// Too many at once: the caller asks again, a little later.
    pub(super) fn busy(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, sentence).after("1")
    }

    /// The same, by which the caller is to leave alone who refuses for so long.
    pub(super) fn leaving_alone(self, wait: Option<Duration>) -> Self {
        let retry = wait.map(|wait| HeaderValue::from(wait.as_secs()));
        Self { retry: retry.or(self.retry), ..self }
    }

    fn after(mut self, seconds: &'static str) -> Self {
        self.retry = Some(HeaderValue::from_static(seconds));
        self
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: self.kind.to_owned(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            detail: self.sentence,
        };
        // A value of ours is always JSON.
        let body = serde_json::to_vec(&problem).unwrap_or_default();
        let mut response = (self.status, [(CONTENT_TYPE, problem::CONTENT_TYPE)], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(retry) = self.retry {
            response.headers_mut().insert(RETRY_AFTER, retry);
        }
        response
    }
}
