//! What people and forges are answered: a sentence, as text or as JSON.

use axum::Json;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Whether the caller asked for JSON.
pub(crate) fn wants_json(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).any(|value| value.contains("json"))
}

/// A refusal: a status and a sentence that the caller can act on. The cause stays in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) sentence: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, sentence: sentence.into() }
    }

    pub(crate) fn bad_request(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// The one answer for an unknown repository and for a wrong credential.
    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unknown repository or wrong credential: check the repository's entry, the hook's secret and its token",
        )
    }

    /// The one answer for what does not exist and for what may not be seen.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no such build, or a credential is needed to see it")
    }

    pub(crate) fn unavailable(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = format!("{}\n", self.sentence);
        let mut response = (self.status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert("WWW-Authenticate", HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// An answer that is lines for people and an object for programs.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) lines: Vec<String>,
    pub(crate) object: Value,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, line: impl Into<String>, object: Value) -> Self {
        Self { status, lines: vec![line.into()], object }
    }

    pub(crate) fn ignored(reason: &str) -> Self {
        Self::new(StatusCode::OK, format!("ignored: {reason}"), json!({ "ignored": reason }))
    }

    /// In the form that `headers` ask for.
    pub(crate) fn into_form(self, headers: &HeaderMap) -> Response {
        if wants_json(headers) {
            (self.status, Json(self.object)).into_response()
        } else {
            let text = self.lines.join("\n") + "\n";
            (self.status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        }
    }
}
