//! `GET /builds/latest?repo=&branch=&flavor=`: an address that always leads to the newest build of a branch.

use axum::extract::{Query, State};
use axum::http::header::{LOCATION, VARY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::dispatcher::access::{self, Credentials};
use crate::dispatcher::answer::Problem;
use crate::dispatcher::claim::url_encoded;
use crate::dispatcher::history::{self, Asked, Latest, LatestError};
use crate::dispatcher::hook::registry_down;
use crate::dispatcher::known::LookupError;
use crate::dispatcher::openapi::Reading;
use crate::dispatcher::pages::Chrome;
use crate::dispatcher::{App, SharedApp};
use crate::domain::repo_url::RepoUrl;

/// The query. Either `branch` or `ref`.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct LatestQuery {
    /// The repository's address.
    #[param(required)]
    repo: Option<String>,
    /// A branch's name; or `ref` in its place.
    branch: Option<String>,
    /// A whole name, for a tag: `refs/tags/v1`.
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    /// Of this flavor; of any.
    flavor: Option<String>,
}

/// The newest build of a branch
///
/// Open or ended.
#[utoipa::path(get, path = "/builds/latest", tag = "people", operation_id = "find_latest", params(LatestQuery),
    responses((status = 302, description = "Its address: a path."), Reading),
    security((), ("bearer" = []), ("token" = []), ("signin" = [])),)]
pub(crate) async fn latest(
    State(app): State<SharedApp>,
    Query(query): Query<LatestQuery>,
    credentials: Credentials,
) -> Result<Response, Problem> {
    let repo: RepoUrl = query.repo()?;
    let git_ref = query.git_ref()?;
    let config = access::config_of(&app, repo.sent()).await.map_err(|error| registry_down(&error))?;
    // What is not configured has the store asked nothing, whoever makes names up.
    let config = config.ok_or_else(none)?;
    let sees_private = credentials.reads(&app, &config);
    let asked = Asked { repo: &repo, git_ref: &git_ref, flavor: query.flavor.as_deref(), sees_private };
    let found = history::latest(&app, &asked).await?.ok_or_else(none)?;
    let location = HeaderValue::try_from(path(&app, &found)).map_err(|_odd| Problem::not_found())?;
    Ok((StatusCode::FOUND, [(LOCATION, location), (VARY, HeaderValue::from_static("cookie"))]).into_response())
}

fn none() -> Problem {
    let sentence = "no build of this branch is known, or a credential is needed to see it: check repo, branch and \
                    flavor; a tag is given as ref=refs/tags/…";
    Problem::new(StatusCode::NOT_FOUND, sentence)
}

/// The path only, as a reader behind a tunnel has another host than `ALBATROS_URL`.
fn path(app: &App, found: &Latest) -> String {
    let base = Chrome::new(app, "").base;
    match &found.build {
        Some(build) => format!("{base}/builds/{}/{}", url_encoded(build.builder()), build.child()),
        None => format!("{base}/builds/claim/{}", found.claim),
    }
}

impl LatestQuery {
    fn repo(&self) -> Result<RepoUrl, Problem> {
        let told = self.repo.as_deref().unwrap_or_default();
        told.parse().map_err(|error| Problem::bad_request(format!("repo: {error}")))
    }

    fn git_ref(&self) -> Result<String, Problem> {
        match (&self.git_ref, &self.branch) {
            (Some(whole), None) => Ok(whole.clone()),
            (None, Some(branch)) => Ok(format!("refs/heads/{branch}")),
            (None, None) | (Some(_), Some(_)) => {
                Err(Problem::bad_request("give branch=<name>, or ref=refs/… for what is no branch"))
            }
        }
    }
}

impl From<LatestError> for Problem {
    fn from(error: LatestError) -> Self {
        match error {
            LatestError::Registry(error) => LookupError::from(error).into(),
            LatestError::Store(error) => LookupError::from(error).into(),
        }
    }
}
