//! `POST /trigger`: a build that a person or a schedule asks for, as the sender `@trigger`.

mod target;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use utoipa::ToSchema;

use self::target::{Commit, Target};
use super::access::{self, Credentials};
use super::answer::{Handed, Problem};
use super::openapi::IdempotencyKey;
use super::start::{Wish, start};
use super::{App, SharedApp};
use crate::domain::config::RepoConfig;
use crate::domain::id::Flavor;
use crate::domain::repo_url::RepoUrl;
use crate::domain::trigger;

/// The longest body: all parameters there may be, each character written as six.
const BODY_MOST: usize = 256 * 1024;

/// The forge may be asked several times; who waits for the answer gives up after half a minute.
const FORGE_WITHIN: Duration = Duration::from_secs(12);

/// The body. Of the four places where a build can be looked for, one is named, or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The repository's address, as in its configuration key.
    repo: String,
    /// `refs/heads/…`, `refs/tags/…`, `refs/pull/N/head`, or a branch's name.
    #[serde(default, rename = "ref")]
    git_ref: Option<String>,
    /// A branch's name.
    #[serde(default)]
    branch: Option<String>,
    /// A tag's name.
    #[serde(default)]
    tag: Option<String>,
    /// A pull request's number.
    #[serde(default)]
    pull_request: Option<u64>,
    /// The commit, or its first digits; without it the forge is asked what is there.
    #[serde(default)]
    commit: Option<String>,
    #[serde(default)]
    flavor: Flavor,
    /// What the build is given by name; no secrets.
    #[serde(default)]
    params: BTreeMap<String, String>,
    /// A flavor that looks mistyped is taken as it is.
    #[serde(default)]
    force: bool,
}

/// Builds a commit of your choice
///
/// As the sender `@trigger`.
#[utoipa::path(post, path = "/trigger", tag = "people", params(IdempotencyKey), request_body = Wanted,
    responses(
        (status = 200, description = "Its build.", content((Handed = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It has no build yet; the address says how it goes on.",
            content((Handed = "application/json"), (String = "text/plain"))),
        (status = 400, description = "The body is no JSON, or a header cannot be read."),
        (status = 401, description = "A token is needed that may act for the repository."),
        (status = 408, description = "The body did not arrive in time."),
        (status = 413, description = "The body is too large."),
        (status = 415, description = "The body is not `application/json`."),
        (status = 422, description = "There is no such commit, or it cannot be built as asked."),
        (status = 502, description = "The forge could not be asked."),
        (status = 503, description = "Nomad, Consul or the forge does not answer. Try again."),
    ),
    security(("bearer" = []), ("token" = [])),)]
pub(crate) async fn trigger(
    State(app): State<SharedApp>,
    credentials: Credentials,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let wanted = wanted(&app, body, &headers).await?;
    let url: RepoUrl = wanted.repo.parse().map_err(|_refused| Problem::unauthorized())?;
    let found = access::acting(&app, &credentials, &url).await?;
    let by = credentials.actor(&app, &found.config);
    if !wanted.force {
        is_no_slip(&wanted.flavor, &found.config)?;
    }
    let target = Target::of(&wanted)?;
    let commit = wanted.commit.as_deref().map(Commit::parse).transpose()?;
    let change = tokio::time::timeout(FORGE_WITHIN, target::change(&app, target, commit, &found));
    let change = change.await.unwrap_or_else(|_elapsed| Err(target::slow()))?;
    let Wanted { flavor, params, .. } = wanted;
    let wish = Wish { url, found, change, flavor, params, retry_of: None, by };
    Ok(start(&app, wish, &headers).await?.into_form(&headers))
}

/// The body, no slower than others may be.
async fn wanted(app: &App, body: Body, headers: &HeaderMap) -> Result<Wanted, Problem> {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/json") {
        let sentence = "the body must be JSON, with `Content-Type: application/json`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, sentence));
    }
    let taken = app.bodies.take(body, headers, BODY_MOST).await?;
    serde_json::from_slice(&taken.bytes).map_err(|error| {
        let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, format!("the body cannot be read: {error}"))
    })
}

/// Refuses a flavor that is not configured and nearly one that is.
fn is_no_slip(flavor: &Flavor, config: &RepoConfig) -> Result<(), Problem> {
    let Some(meant) = trigger::meant(flavor, config) else { return Ok(()) };
    let sentence = format!(
        "flavor: `{flavor}` is not configured; did you mean `{meant}`? (--force, or \"force\": true, takes it as it is)"
    );
    Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, sentence))
}
