//! `GET /v1/openapi.json`: what a build's controller answers, put together from what stands at its handlers.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Response as Described};
use utoipa::{IntoResponses, OpenApi};

use super::{blobs, build, events, finish, jobs, log, machine, params, report, runner};
use crate::domain::described::{Document, operations, refusals, says, tell_of_bytes, tell_of_caches, tell_once};
use crate::domain::problem::{self, Problem};

/// In the order of `routes`: a route that is missing here, or one too many, fails a test.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Albatros: a build's controller",
        description = "What a build's script and its trusted tasks ask for, at `ALBATROS_API` with `ALBATROS_TOKEN`: \
                       parameters, artifacts, caches, jobs, events, a report.\n\nA refusal is \
                       `application/problem+json` (RFC 9457).",
        license(name = "AGPL-3.0-only", identifier = "AGPL-3.0-only"),
    ),
    paths(
        openapi,
        build::build,
        build::workspace,
        build::attach,
        build::prepared,
        params::all,
        params::one,
        events::read,
        events::write,
        report::report,
        runner::register,
        log::masks,
        log::put,
        log::end,
        blobs::saves::declared,
        blobs::saves::declare,
        blobs::saves::due,
        blobs::saves::done,
        machine::machine,
        finish::finish,
        jobs::ask::own,
        jobs::ask::all,
        jobs::ask::make,
        jobs::ask::one,
        jobs::ask::stop,
        jobs::log::log,
        jobs::connect::connect,
        jobs::service::serve,
    ),
    components(schemas(Problem, crate::domain::id::JobName, crate::domain::duration::Span)),
    tags(
        (name = "script", description = "What the script asks for."),
        (name = "trusted", description = "What `prepare` and the sidecar ask for, at a socket of their own."),
        (name = "services", description = "What the controller of the build that started a service asks for."),
    ),
)]
struct Api;

/// Who has no token that opens this.
#[derive(Debug)]
pub(super) struct Token;

impl IntoResponses for Token {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        refusals(&[
            ("401", "A token is needed: `Authorization: Bearer $ALBATROS_TOKEN`."),
            ("403", "The token is for something else, or the build may not have this."),
            ("410", "The build has ended, and its token with it."),
        ])
    }
}

/// What waits for the session.
#[derive(Debug)]
pub(super) struct Undecided;

impl IntoResponses for Undecided {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        refusals(&[
            (
                "422",
                "It makes no sense, or the build cannot go on: `urn:albatros:commit-gone`, `urn:albatros:no-answer`.",
            ),
            ("503", "It is not decided yet, or serve does not answer: ask again. `urn:albatros:waiting`"),
        ])
    }
}

/// What takes a body.
#[derive(Debug)]
pub(super) struct Sending;

impl IntoResponses for Sending {
    fn responses() -> BTreeMap<String, RefOr<Described>> {
        refusals(&[
            ("400", "The body broke off, or cannot be read."),
            ("408", "The body did not arrive in time."),
            ("413", "The body is too large."),
            ("415", "The body is of another type."),
            ("422", "The body makes no sense; the detail says where."),
        ])
    }
}

static DOCUMENT: OnceLock<Document> = OnceLock::new();

fn document() -> Document {
    let mut api = Api::openapi();
    api.merge(blobs::Described::openapi());
    tell_of_caches(&mut api, &["/v1/artifacts/{id}"]);
    for operation in api.paths.paths.values_mut().flat_map(operations) {
        tell_once(operation);
        tell_of_bytes(operation);
        for (status, response) in &mut operation.responses.responses {
            if let RefOr::T(response) = response
                && status.starts_with(['4', '5'])
            {
                says(response, problem::CONTENT_TYPE, Ref::from_schema_name("Problem").into());
            }
        }
    }
    let bearer = |about: &str| {
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(about)).build())
    };
    let components = api.components.get_or_insert_default();
    components.add_security_scheme("script", bearer("`ALBATROS_TOKEN`; dead when the script has ended."));
    components
        .add_security_scheme("trusted", bearer("That of `prepare` and the sidecar; dead when the build is over."));
    components.add_security_scheme("service", bearer("What serve has told the build that started the service."));
    Document::of(&api)
}

/// This description
///
/// OpenAPI 3.1. It holds nothing of the build, and so needs no token.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "script", operation_id = "get_description", security(()), responses(
    (status = 200, description = "The description.", body = serde_json::Value),
    (status = 304, description = "It is the one that `If-None-Match` names."),
))]
pub(super) async fn openapi(headers: HeaderMap) -> Response {
    let document = DOCUMENT.get_or_init(document);
    let kept = [(ETAG, document.etag.clone()), (CACHE_CONTROL, "no-cache".to_owned())];
    let mut known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.any(|tags| document.is_known_by(tags)) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(CONTENT_TYPE, "application/json")], document.text.clone()).into_response()
}
