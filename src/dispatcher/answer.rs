//! What people and forges are answered: a sentence, as text, as JSON or as a page.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::form::Form;
use super::signin::{Back, Visitor};
use super::{SharedApp, pages};
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::problem;

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

    /// For programs.
    fn details(&self) -> problem::Problem {
        problem::Problem {
            kind: problem::BLANK.to_owned(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            detail: self.sentence.clone(),
        }
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
    match form {
        Form::Page => as_page(&app, request, next).await,
        Form::Json => as_details(next.run(request).await),
        Form::Text | Form::Events => next.run(request).await,
    }
}

async fn as_page(app: &SharedApp, request: Request, next: Next) -> Response {
    let (headers, uri, method) = (request.headers().clone(), request.uri().clone(), request.method().clone());
    let response = next.run(request).await;
    let Some(problem) = response.extensions().get::<Problem>() else { return response };
    let visitor = Visitor::of(app, &headers, &uri).await;
    // Nobody can come back to what was sent.
    let visitor = if method == Method::GET { visitor } else { visitor.back_to(Back::default()) };
    pages::problem(app, &visitor, problem)
}

/// The same refusal, its headers among it, with problem details for a body.
fn as_details(response: Response) -> Response {
    let Some(details) = response.extensions().get::<Problem>().map(Problem::details) else { return response };
    let (mut head, _line) = response.into_parts();
    // A value of ours is always JSON.
    let body = serde_json::to_vec(&details).unwrap_or_default();
    head.headers.remove(CONTENT_LENGTH);
    head.headers.insert(CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
    Response::from_parts(head, body.into())
}

/// What became of a change that was handed in, or is built again. Absent is what it has not.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Handed {
    /// Its build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) build: Option<BuildId>,
    /// Under which it is built once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claim: Option<ClaimId>,
    /// The log's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<String>,
    /// Where to look how it goes on, as long as it has no build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
    /// Why it has none yet, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    /// How it had ended before it was handed in again: the outcome's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) already_built: Option<&'static str>,
    /// Why it is not built, as its repository wants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<String>,
    /// Why it is no change to build.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ignored: Option<String>,
    /// What was said of its sender too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) always: Option<String>,
}

/// An answer that is lines for people and an object for programs.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) lines: Vec<String>,
    pub(crate) object: Value,
}

impl Answer {
    pub(crate) fn new(status: StatusCode, line: impl Into<String>, object: impl Serialize) -> Self {
        Self::of_lines(status, vec![line.into()], object)
    }

    pub(crate) fn of_lines(status: StatusCode, lines: Vec<String>, object: impl Serialize) -> Self {
        // A value of ours is always JSON.
        Self { status, lines, object: serde_json::to_value(object).unwrap_or_default() }
    }

    pub(crate) fn ignored(reason: &str) -> Self {
        Self::new(
            StatusCode::OK,
            format!("ignored: {reason}"),
            Handed { ignored: Some(reason.to_owned()), ..Handed::default() },
        )
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
