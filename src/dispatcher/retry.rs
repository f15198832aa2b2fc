//! `POST …/retry`: builds again what is over, as a change of its own.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;

use super::access::{self, Credentials};
use super::acts::{self, Post};
use super::answer::{Answer, Handed, Problem};
use super::builds::{build_id, forgotten};
use super::hook::registry_down;
use super::known::{self, Tracked};
use super::openapi::{Acting, BuildPath, ClaimPath, IdempotencyKey, Pressing};
use super::people::authorize;
use super::start::{self, Wish, start};
use super::{App, SharedApp};
use crate::api::forge::Forge;
use crate::domain::event::{Change, EventKind, Pull, PullOrigin};
use crate::domain::id::{ClaimId, CommitSha, Flavor};
use crate::domain::record::{Done, Phase, Record};
use crate::domain::repo_url::RepoUrl;
use crate::registry::Found;

/// How long the forge may take to say whether a repository is private.
const ABOUT_WITHIN: Duration = Duration::from_secs(3);

/// What is known of a change that is over.
#[derive(Debug)]
struct Former {
    claim: ClaimId,
    repo: String,
    git_ref: String,
    before: String,
    commit: CommitSha,
    flavor: Flavor,
    event: EventKind,
    params: BTreeMap<String, String>,
    pull: Option<Pull>,
    private: bool,
    is_job: bool,
}

/// Builds again what is over
///
/// As a change of its own: trust is decided anew.
#[utoipa::path(post, path = "/builds/{builder}/{child}/retry", tag = "people", operation_id = "retry_build", params(BuildPath, IdempotencyKey),
    responses(
        (status = 200, description = "Its build.", content((Handed = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It has no build yet; the address says how it goes on.",
            content((Handed = "application/json"), (String = "text/plain"))),
        (status = 409, description = "It is not over."),
        (status = 422, description = "It cannot be built again by itself."),
        Acting,
        Pressing,
    ),
    security(("bearer" = []), ("token" = []), ("signin" = [])),)]
pub(crate) async fn build(
    State(app): State<SharedApp>,
    Path(path): Path<(String, String)>,
    post: Post,
) -> Result<Response, Problem> {
    let build = build_id(path)?;
    let known = known::find(&app, &build).await?.ok_or_else(Problem::not_found)?;
    authorize(&app, known.repo.as_deref(), known.private, &post.credentials).await?;
    let former = match (known.tracked, known.claim) {
        (Tracked::Open(stored), Some(claim)) => Former::of_open(claim, stored.value)?,
        (Tracked::Done(done), Some(claim)) => Former::of_done(claim, *done),
        (Tracked::Not | Tracked::Open(_) | Tracked::Done(_), _) => {
            let why = "nothing is known of its change: `trigger` builds a commit of your choice";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why));
        }
    };
    let answer = again(&app, former, &post).await?;
    Ok(post.answered(&app, answer, &acts::page(&build)))
}

/// Builds a change again that is over
#[utoipa::path(post, path = "/builds/claim/{claim}/retry", tag = "people", operation_id = "retry_claim", params(ClaimPath, IdempotencyKey),
    responses(
        (status = 200, description = "Its build.", content((Handed = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It has no build yet; the address says how it goes on.",
            content((Handed = "application/json"), (String = "text/plain"))),
        (status = 409, description = "It is not over."),
        (status = 422, description = "It cannot be built again by itself."),
        Acting,
        Pressing,
    ),
    security(("bearer" = []), ("token" = []), ("signin" = [])),)]
pub(crate) async fn claim(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    post: Post,
) -> Result<Response, Problem> {
    let claim: ClaimId = claim.parse().map_err(|_no_claim| Problem::not_found())?;
    let former = former(&app, &claim, &post.credentials).await?;
    let answer = again(&app, former, &post).await?;
    Ok(post.answered(&app, answer, &acts::page_of_claim(&claim)))
}

/// What is known of a change that this caller may act on.
async fn former(app: &App, claim: &ClaimId, credentials: &Credentials) -> Result<Former, Problem> {
    if let Some(stored) = app.registry.open(claim).await.map_err(|error| registry_down(&error))? {
        authorize(app, Some(&stored.value.repo), stored.value.private, credentials).await?;
        return Former::of_open(claim.clone(), stored.value);
    }
    let done = match app.registry.done(claim).await.map_err(|error| registry_down(&error))? {
        Some(done) => done,
        None => forgotten(app, claim).await?.done,
    };
    authorize(app, Some(&done.repo), done.private, credentials).await?;
    Ok(Former::of_done(claim.clone(), done))
}

/// Trust is decided anew: it is inherited from nobody.
async fn again(app: &SharedApp, former: Former, post: &Post) -> Result<Answer, Problem> {
    if former.is_job {
        let why = "it is a job of another build, and ends with it: retry that build";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    if former.event == EventKind::WorkflowJob {
        let why = "it is a runner of a workflow: run the workflow's job again at the forge";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why));
    }
    let (url, found) = configuration(app, &former.repo, &post.credentials).await?;
    let Former { claim, git_ref, before, commit, flavor, event, params, pull, private, .. } = former;
    let change = Change {
        kind: event,
        branch: branch(&git_ref).to_owned(),
        git_ref,
        before,
        commit,
        sender: start::sender(),
        // It is asked for by the repository's own credential.
        repository_id: found.config.repository_id,
        private: private || is_private_now(app, &found).await,
        message: None,
        pull,
    };
    let by = post.credentials.actor(app, &found.config);
    let wish = Wish { url, found, change, flavor, params, retry_of: Some(claim), by };
    start(app, wish, &post.headers).await
}

/// What was public may not be so any more; who cannot be asked has not said that it is.
async fn is_private_now(app: &App, found: &Found) -> bool {
    let Some(config) = found.config.forge.as_ref().filter(|_| found.config.private.is_none()) else { return false };
    let asked = async { Forge::new(app.forge_client.clone(), config, &found.repo)?.about().await };
    match tokio::time::timeout(ABOUT_WITHIN, asked).await {
        Ok(Ok(about)) => about.private || about.internal,
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the forge does not say whether it is private");
            true
        }
        Err(_elapsed) => true,
    }
}

/// The configuration as it is now; whoever may no longer act learns nothing of it.
async fn configuration(app: &App, repo: &str, credentials: &Credentials) -> Result<(RepoUrl, Found), Problem> {
    let url: RepoUrl = repo.parse().map_err(|_no_address| Problem::not_found())?;
    let found = access::acting(app, credentials, &url).await?;
    Ok((url, found))
}

impl Former {
    fn of_open(claim: ClaimId, record: Record) -> Result<Self, Problem> {
        match record.phase {
            Phase::Ended { .. } => {}
            Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched => {
                return Err(Problem::new(StatusCode::CONFLICT, "it is not over: wait for its end, or cancel it first"));
            }
        }
        Ok(Self {
            claim,
            repo: record.repo,
            git_ref: record.git_ref,
            before: record.before,
            commit: record.commit,
            flavor: record.flavor,
            event: record.event,
            params: record.params,
            pull: record.pull,
            private: record.private,
            is_job: record.parent.is_some(),
        })
    }

    fn of_done(claim: ClaimId, done: Done) -> Self {
        // Whose it was is not kept; wherever a pull request comes from, it is never trusted.
        let pull = |number| Pull { number, origin: PullOrigin::Fork, author: String::new(), author_id: None };
        Self {
            claim,
            repo: done.repo,
            git_ref: done.git_ref,
            before: done.before,
            commit: done.commit,
            flavor: done.flavor,
            event: done.event,
            params: done.params,
            pull: done.pull_request.map(pull),
            private: done.private,
            is_job: done.parent.is_some(),
        }
    }
}

/// What `BRANCH` says of a ref.
fn branch(git_ref: &str) -> &str {
    let short = git_ref.strip_prefix("refs/heads/").or_else(|| git_ref.strip_prefix("refs/tags/"));
    short.or_else(|| git_ref.strip_prefix("refs/")).unwrap_or(git_ref)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_branch_of_a_ref_is_what_its_first_build_was_told() {
        for (git_ref, expected) in [
            ("refs/heads/main", "main"),
            ("refs/heads/refs/tags/v9", "refs/tags/v9"),
            ("refs/tags/v1", "v1"),
            ("refs/pull/3/head", "pull/3/head"),
        ] {
            assert_eq!(branch(git_ref), expected);
        }
    }
}
