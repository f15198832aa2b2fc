//! What people and forges are answered: a sentence, as text, as JSON or as a page.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::form::Form;
use super::signin::Visitor;
use super::{SharedApp, pages};

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
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// Says a refusal in the form that was asked for. A forge and curl are told a line.
pub(crate) async fn in_form(State(app): State<SharedApp>, form: Form, request: Request, next: Next) -> Response {
    if form != Form::Page {
        return next.run(request).await;
    }
    let (headers, uri, method) = (request.headers().clone(), request.uri().clone(), request.method().clone());
    let response = next.run(request).await;
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let visitor = Visitor::of(&app, &headers, &uri).await;
    // Nobody can come back to what was sent.
    let visitor = if method == Method::GET { visitor } else { visitor.elsewhere() };
    pages::problem(&app, &visitor, problem)
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
        if Form::of(headers) == Form::Json {
            (self.status, Json(self.object)).into_response()
        } else {
            let text = self.lines.join("\n") + "\n";
            (self.status, [(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
        }
    }
}
