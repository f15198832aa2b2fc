//! `POST /trigger`: a build that a person or a schedule asks for, as the sender `@trigger`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;

use super::access::Credentials;
use super::answer::Problem;
use super::claim::{self, Held, Submission};
use super::hook::registry_down;
use super::{App, SharedApp};
use crate::api::forge::{Forge, ForgeError};
use crate::domain::event::{Change, EventKind, Sender};
use crate::domain::id::{CommitSha, Flavor};
use crate::domain::plan::{self, Asked, Planned};
use crate::domain::repo_url::RepoUrl;
use crate::domain::trust;
use crate::registry::{Entry, Found, RegistryError};

/// Who starts what is triggered; trusted only where this is listed.
const SENDER: &str = Sender::TRIGGER;
/// A person waits longer than a forge does.
const ANSWERED_WITHIN: Duration = Duration::from_secs(15);

/// The body.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The repository's address, as in its configuration key.
    repo: String,
    /// `refs/heads/…`, `refs/tags/…`, or a branch's name.
    #[serde(rename = "ref")]
    git_ref: String,
    /// The commit; without it the forge is asked what the ref holds.
    #[serde(default)]
    commit: Option<CommitSha>,
    #[serde(default)]
    flavor: Flavor,
}

/// `POST /trigger`
pub(crate) async fn trigger(
    State(app): State<SharedApp>,
    credentials: Credentials,
    headers: HeaderMap,
    wanted: Result<Json<Wanted>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(wanted) = wanted.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let url: RepoUrl = wanted.repo.parse().map_err(|_refused| Problem::unauthorized())?;
    // From the local copy first, so that strangers cost Consul nothing.
    permitted(&app, &credentials, app.registry.entry(&url).await)?;
    let found = permitted(&app, &credentials, app.registry.entry_now(&url).await)?;
    let change = change(&app, &wanted, &found).await?;
    let trust = trust::decide(&change, &found.config);
    let salt = claim::nonce()?;
    let asked = Asked {
        change: &change,
        trust: &trust,
        config: &found.config,
        repo: &found.repo,
        canonical: url.canonical(),
        flavor: &wanted.flavor,
        site: &app.site(),
        salt: Some(&salt),
    };
    let plan = match plan::plan(&asked) {
        Planned::Build(plan) | Planned::Held(plan) => plan,
        Planned::Ignored(sentence) | Planned::Refused(sentence) => {
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, sentence));
        }
    };
    let submission = Submission { plan, config: found.config, held: Held::No };
    let (_, answer) = claim::submit(&app, submission, tokio::time::Instant::now() + ANSWERED_WITHIN).await?;
    Ok(answer.into_form(&headers))
}

fn permitted(app: &App, who: &Credentials, entry: Result<Entry, RegistryError>) -> Result<Found, Problem> {
    match entry.map_err(|error| registry_down(&error))? {
        Entry::Found(found) if who.acts(app, &found.config) => Ok(*found),
        Entry::Found(_) | Entry::Unknown | Entry::Broken(_) => Err(Problem::unauthorized()),
    }
}

async fn change(app: &App, wanted: &Wanted, found: &Found) -> Result<Change, Problem> {
    let full = if wanted.git_ref.starts_with("refs/") {
        wanted.git_ref.clone()
    } else {
        format!("refs/heads/{}", wanted.git_ref)
    };
    let (kind, branch) = if let Some(name) = full.strip_prefix("refs/heads/") {
        (EventKind::Push, name.to_owned())
    } else if let Some(name) = full.strip_prefix("refs/tags/") {
        (EventKind::Tag, name.to_owned())
    } else {
        return Err(Problem::bad_request("ref: expected a branch, refs/heads/… or refs/tags/…"));
    };
    let commit = match &wanted.commit {
        Some(commit) => commit.clone(),
        None => head(app, &full, found).await?,
    };
    Ok(Change {
        kind,
        git_ref: full,
        branch,
        before: String::new(),
        commit,
        sender: Sender { login: SENDER.to_owned(), id: None },
        // It is asked for by the repository's own credential.
        repository_id: found.config.repository_id,
        // Nothing says that it is public.
        private: found.config.private.unwrap_or(true),
        pull: None,
    })
}

async fn head(app: &App, git_ref: &str, found: &Found) -> Result<CommitSha, Problem> {
    let Some(config) = &found.config.forge else {
        return Err(Problem::bad_request("commit: needed, since no forge is configured that could be asked"));
    };
    let forge = Forge::new(app.forge_client.clone(), config, &found.repo).map_err(|error| forge_problem(&error))?;
    let head = forge.head(git_ref).await.map_err(|error| forge_problem(&error))?;
    head.ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "ref: the forge does not know it"))
}

fn forge_problem(error: &ForgeError) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, "the forge did not say what a ref holds");
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "the forge could not be asked what the ref holds; name the commit, or try again",
    )
}
