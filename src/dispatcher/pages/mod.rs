//! Pages for browsers: what the same address tells curl as text, rendered on the server. Nothing on them needs JavaScript
//! to be read, and nothing comes from anywhere else.
//!
//! `template/` has one file a page over `layout.html`, `asset/` the style and the script.

mod address;
pub(crate) mod asset;
pub(crate) mod build;
mod face;
pub(crate) mod list;
mod moment;
mod text;

use askama::Template;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::answer::Problem;
use super::form::Form;
use super::signin::Visitor;
use super::{App, SharedApp};

pub(crate) use asset::{ASSETS, asset};

/// What a page may load and do: its own style, script and images, its own forms; no frame around it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What `layout.html` wants to know on every page, as its field `chrome`.
#[derive(Debug, Clone)]
pub(crate) struct Chrome {
    /// What stands before each of our paths: the path of `ALBATROS_URL`, without a slash at its end.
    pub(crate) base: String,
    /// The title, without our name.
    pub(crate) title: String,
    /// Who looks at it.
    pub(crate) visitor: Visitor,
}

impl Chrome {
    pub(crate) fn new(app: &App, title: impl Into<String>) -> Self {
        Self { base: base(app).to_owned(), title: title.into(), visitor: Visitor::default() }
    }

    /// The same for a visitor who may have signed in: its header and its forms know him.
    pub(crate) fn seen_by(self, visitor: &Visitor) -> Self {
        Self { visitor: visitor.clone(), ..self }
    }
}

/// What stands before each of our paths where browsers see them.
pub(crate) fn base(app: &App) -> &str {
    app.settings.url.as_ref().map(|url| url.path().trim_end_matches('/')).unwrap_or_default()
}

/// The page, with the headers that all pages have.
pub(crate) fn page<T: Template>(status: StatusCode, template: &T) -> Response {
    match template.render() {
        Ok(text) => {
            (status, HEADERS.map(|(name, value)| (name, HeaderValue::from_static(value))), text).into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, "this page could not be made; the log says why\n").into_response()
        }
    }
}

const HEADERS: [(HeaderName, &str); 5] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CONTENT_SECURITY_POLICY, POLICY),
    // Not `no-referrer`: with it browsers say `Origin: null` of our own forms.
    (REFERRER_POLICY, "same-origin"),
    (CACHE_CONTROL, "no-store"),
    (VARY, "accept, cookie"),
];

/// The way in for people
#[utoipa::path(get, path = "/", tag = "people", operation_id = "get_root", security(()), responses(
    (status = 200, description = "A line on what this is.", body = String, content_type = "text/plain"),
    (status = 303, description = "Of a browser: it is led to the list of builds."),
))]
pub(crate) async fn root(State(app): State<SharedApp>, headers: HeaderMap) -> Response {
    match Form::of(&headers) {
        Form::Page => {
            let location = HeaderValue::try_from(format!("{}/builds", base(&app)));
            let location = location.unwrap_or_else(|_odd| HeaderValue::from_static("/builds"));
            (StatusCode::SEE_OTHER, [(LOCATION, location), (VARY, HeaderValue::from_static("accept"))]).into_response()
        }
        Form::Text | Form::Json | Form::Events => {
            let line = "Albatros, a CI for Nomad: builds at /builds, the API at /openapi.json\n";
            ([(CONTENT_TYPE, "text/plain; charset=utf-8"), (VARY, "accept")], line).into_response()
        }
    }
}

/// A refusal as a page.
pub(crate) fn problem(app: &App, visitor: &Visitor, problem: &Problem) -> Response {
    let title = problem.status.canonical_reason().unwrap_or("Refused");
    let chrome = Chrome::new(app, title).seen_by(visitor);
    page(problem.status, &ProblemPage { chrome, sentence: problem.sentence.clone(), help: help(problem.status) })
}

/// `problem.html`: why there is nothing to see.
#[derive(Debug, Template)]
#[template(path = "problem.html", config = "src/dispatcher/pages/askama.toml")]
struct ProblemPage {
    chrome: Chrome,
    sentence: String,
    /// What can be done.
    help: Option<&'static str>,
}

fn help(status: StatusCode) -> Option<&'static str> {
    Some(match status {
        StatusCode::NOT_FOUND => {
            "A private build is shown to who signs in with a token of its repository, and to who comes by the link of its status."
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "Sign in with a token of the repository.",
        StatusCode::SERVICE_UNAVAILABLE => "Nothing is lost. Load the page again in a moment.",
        _ => return None,
    })
}
