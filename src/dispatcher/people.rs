//! What people do with a build: cancel it.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::access::{self, Credentials};
use super::acts::{self, Post};
use super::answer::{Answer, Problem};
use super::audit::{self, Actor};
use super::builds::build_id;
use super::held::{self, Stopping};
use super::hook::registry_down;
use super::known::{self, Known, LookupError, Tracked};
use super::openapi::{Acting, BuildPath, ClaimPath, Pressing};
use super::{App, SharedApp};
use crate::domain::config::RepoConfig;
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::outcome::Outcome;
use crate::domain::record::{Phase, Record, StopWhy};
use crate::registry::Stored;

/// What becomes of a build that is cancelled. Absent is what it has not.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct Cancelling {
    #[serde(skip_serializing_if = "Option::is_none")]
    claim: Option<ClaimId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    build: Option<BuildId>,
    /// It was over.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    ended: bool,
    /// `cancelling`, or how it had ended: the outcome's word.
    state: &'static str,
}

/// What a person is called in statuses; a bearer has no name.
const PERSON: &str = "a user";

/// Cancels a build
#[utoipa::path(delete, path = "/builds/{builder}/{child}", tag = "people", operation_id = "cancel_build", params(BuildPath),
    responses(
        (status = 200, description = "It was over.", content((Cancelling = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It is being stopped.", content((Cancelling = "application/json"), (String = "text/plain"))),
        Acting,
    ),
    security(("bearer" = []), ("token" = [])),)]
pub(crate) async fn cancel(
    State(app): State<SharedApp>,
    Path(path): Path<(String, String)>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Ok(cancelled(&app, &build_id(path)?, &credentials).await?.into_form(&headers))
}

/// Cancels a build, for a form
#[utoipa::path(post, path = "/builds/{builder}/{child}/cancel", tag = "people", params(BuildPath),
    responses(
        (status = 200, description = "It was over.", content((Cancelling = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It is being stopped.",
            content((Cancelling = "application/json"), (String = "text/plain"))),
        Acting,
        Pressing,
    ),
    security(("bearer" = []), ("token" = []), ("signin" = [])),)]
pub(crate) async fn cancel_by_form(
    State(app): State<SharedApp>,
    Path(path): Path<(String, String)>,
    post: Post,
) -> Result<Response, Problem> {
    let build = build_id(path)?;
    let answer = cancelled(&app, &build, &post.credentials).await?;
    Ok(post.answered(&app, answer, &acts::page(&build)))
}

async fn cancelled(app: &App, build: &BuildId, credentials: &Credentials) -> Result<Answer, Problem> {
    let known = known::find(app, build).await?.ok_or_else(Problem::not_found)?;
    let config = authorize(app, known.repo.as_deref(), known.private, credentials).await?;
    let by = credentials.actor(app, &config);
    match (known.tracked.clone(), &known.claim) {
        (Tracked::Open(stored), Some(claim)) => stop(app, claim, *stored, by).await,
        (Tracked::Done(done), _) => Ok(over(done.outcome.word())),
        (Tracked::Not | Tracked::Open(_), _) => stop_untracked(app, &known, by).await,
    }
}

/// Cancels a change, which may have no build yet
#[utoipa::path(delete, path = "/builds/claim/{claim}", tag = "people", params(ClaimPath),
    responses(
        (status = 200, description = "It was over.", content((Cancelling = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It is being stopped.", content((Cancelling = "application/json"), (String = "text/plain"))),
        (status = 409, description = "It is over, or it is being written by others."),
        Acting,
    ),
    security(("bearer" = []), ("token" = [])),)]
pub(crate) async fn cancel_claim(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (claim, stored, config) = open_claim(&app, &claim, &credentials).await?;
    let by = credentials.actor(&app, &config);
    Ok(stop(&app, &claim, stored, by).await?.into_form(&headers))
}

/// Cancels a change, for a form
#[utoipa::path(post, path = "/builds/claim/{claim}/cancel", tag = "people", params(ClaimPath),
    responses(
        (status = 200, description = "It was over.", content((Cancelling = "application/json"), (String = "text/plain"))),
        (status = 202, description = "It is being stopped.",
            content((Cancelling = "application/json"), (String = "text/plain"))),
        (status = 409, description = "It is over, or it is being written by others."),
        Acting,
        Pressing,
    ),
    security(("bearer" = []), ("token" = []), ("signin" = [])),)]
pub(crate) async fn cancel_claim_by_form(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    post: Post,
) -> Result<Response, Problem> {
    let (claim, stored, config) = open_claim(&app, &claim, &post.credentials).await?;
    let answer = stop(&app, &claim, stored, post.credentials.actor(&app, &config)).await?;
    Ok(post.answered(&app, answer, &acts::page_of_claim(&claim)))
}

/// An open claim that this caller may act on.
pub(super) async fn open_claim(
    app: &App,
    claim: &str,
    credentials: &Credentials,
) -> Result<(ClaimId, Stored<Record>, RepoConfig), Problem> {
    let claim: ClaimId = claim.parse().map_err(|_no_claim| Problem::not_found())?;
    let Some(stored) = app.registry.open(&claim).await.map_err(|error| registry_down(&error))? else {
        return Err(ended_claim(app, &claim, credentials).await?);
    };
    let config = authorize(app, Some(&stored.value.repo), stored.value.private, credentials).await?;
    Ok((claim, stored, config))
}

/// A change that is over: 409 for those who may know, else as if it were not there.
async fn ended_claim(app: &App, claim: &ClaimId, credentials: &Credentials) -> Result<Problem, Problem> {
    let done = app.registry.done(claim).await.map_err(|error| registry_down(&error))?.ok_or_else(Problem::not_found)?;
    authorize(app, Some(&done.repo), done.private, credentials).await?;
    Ok(is_over(&done.outcome))
}

pub(super) fn is_over(outcome: &Outcome) -> Problem {
    Problem::new(StatusCode::CONFLICT, format!("it is over: {}", outcome.word()))
}

/// The configuration of a repository that this caller may act for. To others what is private is not there.
pub(super) async fn authorize(
    app: &App,
    repo: Option<&str>,
    private: bool,
    credentials: &Credentials,
) -> Result<RepoConfig, Problem> {
    let config = match repo {
        Some(repo) => access::config_of(app, repo).await.map_err(|error| registry_down(&error))?,
        None => None,
    };
    let knows = !private || config.as_ref().is_some_and(|config| credentials.reads(app, config));
    config.filter(|config| credentials.acts(app, config)).ok_or_else(|| {
        credentials.note_refused(app);
        if !knows {
            return Problem::not_found();
        }
        let sentence = "a token that may act for the build's repository is needed (tokens.act, or hook.token)";
        Problem::new(StatusCode::UNAUTHORIZED, sentence)
    })
}

/// Writes the reason first, then tells the engine; the follower does so again where this fails.
async fn stop(app: &App, claim: &ClaimId, stored: Stored<Record>, by: Actor) -> Result<Answer, Problem> {
    let record = match held::stop_record(app, claim, stored, StopWhy::Cancel, PERSON).await? {
        Stopping::Asked(record) => record,
        Stopping::Over(record) => {
            return Ok(match &record.phase {
                Phase::Ended { outcome } => over(outcome.word()),
                Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched => over("over"),
            });
        }
        Stopping::Gone => return Ok(over("over")),
    };
    let claim_text = Some(claim.as_str());
    audit::Line { verdict: "asked for", by: Some(by), claim: claim_text, ..audit::Line::of_record(&record) }
        .write("cancel");
    if let Some(build) = &record.build
        && let Err(error) = app.engine.stop(build).await
    {
        tracing::warn!(error = &error as &dyn std::error::Error, "the engine will be told again");
    }
    Ok(cancelling(Some(claim.clone()), record.build))
}

fn cancelling(claim: Option<ClaimId>, build: Option<BuildId>) -> Answer {
    let state = "cancelling";
    Answer::new(StatusCode::ACCEPTED, state, Cancelling { claim, build, ended: false, state })
}

fn over(word: &'static str) -> Answer {
    let object = Cancelling { ended: true, state: word, ..Cancelling::default() };
    Answer::new(StatusCode::OK, format!("it is over: {word}"), object)
}

/// A child without a record: only the engine is told.
async fn stop_untracked(app: &App, known: &Known, by: Actor) -> Result<Answer, Problem> {
    let (repo, of) = (known.repo.as_deref(), Some(known.build.as_str()));
    audit::Line { verdict: "asked for", by: Some(by), repo, of, ..audit::Line::default() }.write("cancel");
    app.engine.stop(&known.build).await.map_err(LookupError::from)?;
    Ok(cancelling(None, Some(known.build.clone())))
}
