//! `GET /badge.svg`: how the newest build of a branch came out, as a picture for a README.
//!
//! Whoever may not know gets the very badge of a repository that does not exist.

mod picture;
mod shelf;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa::IntoParams;

use self::picture::{Standing, picture};
use super::SharedApp;
use super::access::Credentials;
use super::answer::Problem;
use super::history::{self, Asked, LatestError};
use crate::api::forge::Forge;
use crate::domain::id::Flavor;
use crate::domain::repo_url::RepoUrl;
use crate::registry::{Entry, Found};

pub(crate) use shelf::Badges;
use shelf::Which;

/// How long a badge may take to be found out; a page is waiting for its pictures.
const WITHIN: Duration = Duration::from_secs(3);
/// How long it is looked for after that, so that who asks next is told: a server that has just started reads all that has
/// ended first.
const FOUND_WITHIN: Duration = Duration::from_secs(120);
/// How long the forge may take of that to name its default branch.
const NAMED_WITHIN: Duration = Duration::from_secs(2);
/// Where no forge says which branch is the default one.
const USUAL: [&str; 2] = ["main", "master"];
/// The longest branch that is looked for; git itself takes no longer one.
const BRANCH_MOST: usize = 255;
/// A public badge changes with each build, and is shown on pages that are loaded often.
const PUBLIC: &str = "public, max-age=30";
/// Of what a credential shows, and of what is not known.
const PRIVATE: &str = "private, no-store";

/// Which badge.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct Wanted {
    /// The repository's address.
    #[serde(default)]
    #[param(required)]
    repo: String,
    /// A branch's name; the forge's default branch.
    #[serde(default)]
    branch: Option<String>,
    /// Of this flavor; of any.
    #[serde(default)]
    flavor: Option<String>,
}

/// How the newest build of a branch came out
///
/// A picture, for whatever it is asked: what is not there, and what may not be seen, is `unknown`.
#[utoipa::path(get, path = "/badge.svg", tag = "people", operation_id = "show_badge", params(Wanted),
    responses(
        (status = 200, description = "The picture.", body = String, content_type = "image/svg+xml"),
        (status = 304, description = "It is the one that `If-None-Match` names."),
        (status = 400, description = "The query cannot be read, or the flavor is none."),
    ),
    security((), ("bearer" = []), ("token" = []), ("signin" = [])),)]
pub(crate) async fn badge(
    State(app): State<SharedApp>,
    Query(wanted): Query<Wanted>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let flavor = wanted.flavor.filter(|flavor| !flavor.is_empty()).map(|flavor| flavor.parse::<Flavor>());
    let flavor = flavor.transpose().map_err(|error| Problem::bad_request(error.to_string()))?;
    let branch = wanted.branch.as_deref().filter(|branch| !branch.is_empty());
    let seen = seen(&app, &credentials, &wanted.repo, branch, flavor.as_ref()).await;
    let svg = picture(flavor.as_ref().map_or("build", Flavor::as_str), seen.standing);
    let svg = svg.map_err(|error| {
        tracing::error!(%error, "a badge could not be made");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "this badge could not be made; the log says why")
    })?;
    Ok(answer(svg, seen.kept, &headers))
}

/// What a caller is shown, and who may keep it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    standing: Standing,
    kept: &'static str,
}

const NOTHING: Seen = Seen { standing: Standing::Unknown, kept: PRIVATE };

async fn seen(
    app: &SharedApp,
    credentials: &Credentials,
    repo: &str,
    branch: Option<&str>,
    flavor: Option<&Flavor>,
) -> Seen {
    // What cannot be read is not known; who shows a badge can do nothing about it.
    let Ok(url) = repo.parse::<RepoUrl>() else { return NOTHING };
    let Ok(Entry::Found(found)) = app.registry.entry(&url).await else { return NOTHING };
    let sees_private = credentials.reads(app, &found.config);
    if found.config.private == Some(true) && !sees_private {
        return NOTHING;
    }
    let ask = Ask { app: SharedApp::clone(app), found: *found, url, flavor: flavor.cloned(), sees_private };
    match found_out(ask, branch).await {
        Standing::Unknown => NOTHING,
        standing => Seen { standing, kept: if sees_private { PRIVATE } else { PUBLIC } },
    }
}

/// What is known, or found out in time. What takes longer is found out all the same, for who asks next.
async fn found_out(ask: Ask, branch: Option<&str>) -> Standing {
    if branch.is_some_and(|branch| branch.len() > BRANCH_MOST) {
        return Standing::Unknown;
    }
    let app = SharedApp::clone(&ask.app);
    let which = ask.which(branch);
    if let Some(standing) = app.badges.standing(&which, Instant::now()) {
        return standing;
    }
    let Ok(place) = Arc::clone(&app.badges.places).try_acquire_owned() else { return Standing::Unknown };
    let (branch, asked) = (branch.map(str::to_owned), which.clone());
    let finding = async move {
        let _place = place;
        let standing = tokio::time::timeout(FOUND_WITHIN, ask.standing(branch.as_deref())).await;
        let standing = standing.unwrap_or(Standing::Unknown);
        ask.app.badges.keep_standing(asked, standing, Instant::now());
        standing
    };
    let finding = tokio::spawn(app.shutdown.clone().run_until_cancelled_owned(finding));
    match tokio::time::timeout(WITHIN, finding).await {
        Ok(found) => found.ok().flatten().unwrap_or(Standing::Unknown),
        Err(_elapsed) => {
            app.badges.keep_slow(which, Instant::now());
            Standing::Unknown
        }
    }
}

/// The badge of a repository that is configured.
struct Ask {
    app: SharedApp,
    found: Found,
    url: RepoUrl,
    flavor: Option<Flavor>,
    sees_private: bool,
}

impl Ask {
    /// Without a branch: of the default one.
    fn which(&self, branch: Option<&str>) -> Which {
        let flavor = self.flavor.as_ref().map(|flavor| flavor.as_str().to_owned());
        let git_ref = branch.map_or_else(String::new, |branch| format!("refs/heads/{branch}"));
        (self.url.canonical().to_owned(), git_ref, flavor, self.sees_private)
    }

    async fn standing(&self, branch: Option<&str>) -> Standing {
        if let Some(branch) = branch {
            return self.of_branch(branch).await;
        }
        if let Some(branch) = self.default_branch().await {
            return self.of_branch(&branch).await;
        }
        for branch in USUAL {
            let standing = self.of_branch(branch).await;
            if standing != Standing::Unknown {
                return standing;
            }
        }
        Standing::Unknown
    }

    async fn of_branch(&self, branch: &str) -> Standing {
        let which = self.which(Some(branch));
        let badges = &self.app.badges;
        let Ok(_turn) = badges.turns.acquire().await else { return Standing::Unknown };
        // Others may have waited for the same.
        if let Some(standing) = badges.found(&which, Instant::now()) {
            return standing;
        }
        let asked = Asked {
            repo: &self.url,
            git_ref: &which.1,
            flavor: self.flavor.as_ref().map(Flavor::as_str),
            sees_private: self.sees_private,
        };
        match history::latest(&self.app, &asked).await {
            Ok(latest) => {
                let standing = latest.map_or(Standing::Unknown, |latest| Standing::of(latest.outcome.as_ref()));
                badges.keep_standing(which, standing, Instant::now());
                standing
            }
            Err(error @ (LatestError::Registry(_) | LatestError::Store(_))) => {
                // Strangers may ask thousands of times; who operates it hears of it elsewhere.
                tracing::debug!(error = &error as &dyn std::error::Error, "a badge could not be found out");
                Standing::Unknown
            }
        }
    }

    /// As the forge says it; none where there is none to be asked, or it does not answer.
    async fn default_branch(&self) -> Option<String> {
        let (badges, repo) = (&self.app.badges, self.url.canonical());
        if let Some(known) = badges.default_branch(repo, Instant::now()) {
            return known;
        }
        let config = self.found.config.forge.as_ref()?;
        let _turn = badges.turns.acquire().await.ok()?;
        if let Some(known) = badges.default_branch(repo, Instant::now()) {
            return known;
        }
        let asked = async { Forge::new(self.app.forge_client.clone(), config, &self.found.repo)?.about().await };
        let branch = match tokio::time::timeout(NAMED_WITHIN, asked).await {
            Ok(Ok(about)) => about.default_branch.filter(|branch| !branch.is_empty() && branch.len() <= BRANCH_MOST),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, repo, "the forge names no default branch");
                None
            }
            Err(_elapsed) => None,
        };
        badges.keep_default(repo, branch.clone(), Instant::now());
        branch
    }
}

/// The picture, or 304 for who has it.
fn answer(svg: String, kept: &'static str, headers: &HeaderMap) -> Response {
    let digest = hex::encode(Sha256::digest(&svg));
    let tag = format!("\"{}\"", digest.get(..32).unwrap_or(&digest));
    let has_it = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    });
    let cache = [(CACHE_CONTROL, kept.to_owned()), (ETAG, tag), (VARY, "cookie, authorization".to_owned())];
    if has_it {
        return (StatusCode::NOT_MODIFIED, cache).into_response();
    }
    let kind = [(CONTENT_TYPE, "image/svg+xml; charset=utf-8"), (CONTENT_SECURITY_POLICY, "default-src 'none'")];
    (cache, kind, svg).into_response()
}
