//! `GET /openapi.json`: what this server answers, put together from what stands at its handlers.

mod parts;
mod refusals;
mod shape;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::Server;
use utoipa::{Modify as _, OpenApi};

use super::{
    App, SharedApp, approvals, badge, bin, blobs, builds, health, hook, logs, pages, people, retry, session, signin,
    trigger,
};
use crate::domain::described::Document;
use crate::domain::id::BuilderName;
use crate::domain::problem::Problem;

pub(crate) use parts::{BuildPath, ClaimPath, IdempotencyKey, Ranged};
pub(crate) use refusals::{Acting, Listing, LogRefused, Pressing, Reading, Sending, Session};

/// In the order of `routes`: a route that is missing here, or one too many, fails a test.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Albatros",
        description = "A CI for people who run Nomad: a webhook comes in, a parameterized job goes out, a commit status \
                       goes back.\n\n`Accept` decides in which form an answer comes: a page for a browser, a line for \
                       curl, an object for `application/json`. A refusal is a line too, or `application/problem+json` \
                       (RFC 9457). What may not be seen answers as if it were not there.",
        license(name = "AGPL-3.0-only", identifier = "AGPL-3.0-only"),
    ),
    paths(
        pages::root,
        hook::hook,
        logs::tail::build,
        builds::list::list,
        builds::latest::latest,
        builds::one::one_by_claim,
        people::cancel_claim,
        people::cancel_claim_by_form,
        approvals::approve::approve,
        retry::claim,
        builds::one::one,
        people::cancel,
        people::cancel_by_form,
        retry::build,
        logs::tail::build_log,
        blobs::people::list,
        blobs::people::one,
        blobs::people::file,
        session::exchange::exchange,
        session::report::report,
        session::log::put,
        session::log::end,
        session::jobs::address::address,
        session::jobs::list::list,
        session::jobs::start::start,
        session::jobs::stop::stop,
        session::jobs::log::log,
        session::runner::runner,
        approvals::shown::held,
        approvals::senders::list,
        approvals::senders::add,
        approvals::senders::remove,
        signin::show,
        signin::sign_in,
        signin::sign_out,
        trigger::trigger,
        bin::bin,
        pages::asset::asset,
        badge::badge,
        health::metrics,
        health::healthz,
        health::readyz,
        health::version,
        openapi,
    ),
    components(schemas(BuilderName, Problem)),
    tags(
        (name = "forges", description = "What Gitea, Forgejo and GitHub send."),
        (name = "people", description = "What people and their scripts see and do."),
        (name = "controllers", description = "What the controller of a build asks for that build: its grant, its \
                                              artifacts, caches and jobs; and what it brings: report and log."),
        (name = "operators", description = "How the server itself is."),
    ),
)]
struct Api;

fn document(app: &App) -> Document {
    let mut api = Api::openapi();
    api.merge(session::blobs::Described::openapi());
    shape::Shape.modify(&mut api);
    // Paths begin with a slash, and are put behind it as they are.
    api.servers = app.settings.url.as_ref().map(|url| vec![Server::new(url.as_str().trim_end_matches('/'))]);
    Document::of(&api)
}

/// This description
///
/// OpenAPI 3.1. It changes with the server's version and its address alone.
#[utoipa::path(get, path = "/openapi.json", tag = "operators", operation_id = "get_description", security(()), responses(
    (status = 200, description = "The description.", body = serde_json::Value),
    (status = 304, description = "It is the one that `If-None-Match` names."),
))]
pub(crate) async fn openapi(State(app): State<SharedApp>, headers: HeaderMap) -> Response {
    let document = app.document.get_or_init(|| document(&app));
    let kept = [(ETAG, document.etag.clone()), (CACHE_CONTROL, "no-cache".to_owned())];
    let mut known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.any(|tags| document.is_known_by(tags)) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(CONTENT_TYPE, "application/json")], document.text.clone()).into_response()
}
