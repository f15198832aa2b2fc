//! `/approved`: the senders whose pull requests are built without asking.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::access::{self, Credentials};
use super::super::answer::{Answer, Problem};
use super::super::audit::{Actor, Line};
use super::super::hook::registry_down;
use super::super::openapi::Listing;
use super::super::{App, SharedApp};
use super::{TRIES, change_list};
use crate::api::forge::{Forge, ForgeError};
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::record::{ApprovedBy, Phase, Record};
use crate::domain::repo_url::RepoUrl;
use crate::registry::{Found, Stored, Written};

/// Whom it is about.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// The repository's address, as in its configuration key.
    repo: String,
    login: String,
    /// The account's number at the forge, which is asked for it otherwise.
    #[serde(default)]
    id: Option<u64>,
}

/// Whose list.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct Of {
    /// The repository's address, as in its configuration key; all that the bearer may see.
    repo: Option<String>,
}

/// Who is approved no more.
#[derive(Debug, Deserialize, IntoParams)]
pub(crate) struct Removed {
    /// The repository's address, as in its configuration key.
    repo: String,
    login: String,
    /// The account's number at the forge; any of that login.
    id: Option<u64>,
}

/// A sender whose pull requests are built without asking.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SenderView {
    /// Where.
    repo: String,
    login: String,
    /// The account's number at the forge.
    id: u64,
    since: Timestamp,
}

/// A sender who is approved always.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SenderApproved {
    repo: String,
    login: String,
    /// The account's number at the forge.
    id: u64,
    approved: bool,
    /// He was not before.
    new: bool,
}

/// A sender who is not approved any more.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SenderRevoked {
    repo: String,
    login: String,
    /// He was approved before.
    revoked: bool,
    /// His changes that were let through and have not got their turn.
    held_again: Vec<ClaimId>,
    /// Those that cannot be held any more: cancel them, if they are not to be built.
    under_way: Vec<UnderWay>,
}

/// A change of a sender that goes on.
#[derive(Debug, Serialize, ToSchema)]
struct UnderWay {
    claim: ClaimId,
    build: Option<BuildId>,
}

/// Approves an account always, for one repository. False: it was so.
pub(super) async fn approve(app: &App, canonical: &str, login: &str, id: u64, by: Actor) -> Result<bool, Problem> {
    let new = change_list(app, canonical, |list| list.add(login, id, Timestamp::now())).await?;
    let (sender, verdict) = (format!("{login} ({id})"), if new { "approved" } else { "was approved" });
    Line { verdict, by: Some(by), repo: Some(canonical), sender: Some(&sender), ..Line::default() }
        .write("approve always");
    Ok(new)
}

/// Senders whose pull requests are built without asking
///
/// Of the repositories whose private builds the bearer may see.
#[utoipa::path(get, path = "/approved", tag = "people", operation_id = "list_approved", params(Of),
    responses(
        (status = 200, description = "The senders; as text one a line: login, number, since when, repository.",
            content((Vec<SenderView> = "application/json"), (String = "text/plain"))),
        (status = 401, description = "A token is needed that may see a repository."),
        Listing,
    ),
    security(("bearer" = []), ("token" = [])),)]
pub(crate) async fn list(
    State(app): State<SharedApp>,
    Query(of): Query<Of>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let only = match &of.repo {
        Some(repo) => Some(address(repo)?),
        None => None,
    };
    let entries = app.registry.entries().await.map_err(|error| registry_down(&error))?;
    let mut readable: HashMap<String, String> = HashMap::new();
    for found in entries.into_iter().filter(|found| credentials.reads(&app, &found.config)) {
        let Ok(url) = found.repo.parse::<RepoUrl>() else { continue };
        if only.as_ref().is_none_or(|only| only.canonical() == url.canonical()) {
            readable.insert(url.canonical().to_owned(), found.repo);
        }
    }
    if readable.is_empty() {
        return Err(Problem::unauthorized());
    }
    let mut rows: Vec<(&String, _)> = Vec::new();
    let lists = app.registry.all_approved().await.map_err(|error| registry_down(&error))?;
    for list in lists {
        let Some(repo) = readable.get(&list.canonical) else { continue };
        rows.extend(list.senders.into_iter().map(|sender| (repo, sender)));
    }
    rows.sort_by(|(repo, sender), (other_repo, other)| (repo, &sender.login).cmp(&(other_repo, &other.login)));
    let object: Vec<SenderView> = rows
        .iter()
        .map(|(repo, sender)| SenderView {
            repo: (*repo).clone(),
            login: sender.login.clone(),
            id: sender.id,
            since: sender.since,
        })
        .collect();
    let line = |(repo, sender): &(&String, crate::domain::approval::ApprovedSender)| {
        format!("{}\t{}\t{}\t{repo}", sender.login, sender.id, sender.since)
    };
    let lines = rows.iter().map(line).collect();
    Ok(Answer::of_lines(StatusCode::OK, lines, object).into_form(&headers))
}

/// Approves a sender always, for one repository
#[utoipa::path(put, path = "/approved", tag = "people", operation_id = "approve_sender", request_body = Named,
    responses(
        (status = 200, description = "He is approved.", content((SenderApproved = "application/json"), (String = "text/plain"))),
        (status = 400, description = "The body is no JSON, or a number is needed and there is no forge to ask."),
        (status = 401, description = "A token is needed that may act for the repository."),
        (status = 413, description = "The body is too large."),
        (status = 415, description = "The body is not `application/json`."),
        (status = 422, description = "There is no such account, or the list is full."),
        (status = 502, description = "The forge could not be asked for the account's number."),
        (status = 503, description = "Consul does not answer. Try again."),
    ),
    security(("bearer" = []), ("token" = [])),)]
pub(crate) async fn add(
    State(app): State<SharedApp>,
    credentials: Credentials,
    headers: HeaderMap,
    named: Result<Json<Named>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(named) = named.map_err(|error| Problem::new(error.status(), error.body_text()))?;
    let url = address(&named.repo)?;
    let found = access::acting(&app, &credentials, &url).await?;
    let (login, id) = match named.id {
        Some(id) => (named.login, id),
        None => account(&app, &found, &named.login).await?,
    };
    let by = credentials.actor(&app, &found.config);
    let new = approve(&app, url.canonical(), &login, id, by).await?;
    let what = if new { "approved always" } else { "was approved always" };
    let line = format!("{login} ({id}): {what}");
    let object = SenderApproved { repo: found.repo, login, id, approved: true, new };
    Ok(Answer::new(StatusCode::OK, line, object).into_form(&headers))
}

/// Does not approve a sender any more
///
/// What he sends from now on is held; so is what has not got its turn yet.
#[utoipa::path(delete, path = "/approved", tag = "people", operation_id = "revoke_sender", params(Removed),
    responses(
        (status = 200, description = "He is not.", content((SenderRevoked = "application/json"), (String = "text/plain"))),
        (status = 401, description = "A token is needed that may act for the repository."),
        Listing,
    ),
    security(("bearer" = []), ("token" = [])),)]
pub(crate) async fn remove(
    State(app): State<SharedApp>,
    Query(removed): Query<Removed>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let url = address(&removed.repo)?;
    let found = access::acting(&app, &credentials, &url).await?;
    let Removed { login, id, .. } = removed;
    let revoked = change_list(&app, url.canonical(), |list| Ok(list.remove(&login, id))).await?;
    let open = app.registry.watch_open(None, Duration::ZERO).await.map_err(|error| registry_down(&error))?.1;
    let (mut held, mut under_way) = (Vec::new(), Vec::new());
    for (claim, stored) in open {
        if !is_by(&stored.value, url.canonical(), &login, id) {
            continue;
        }
        match hold_again(&app, &claim, stored).await? {
            Now::Held => held.push(claim),
            Now::UnderWay(record) => under_way.push(UnderWay { claim, build: record.build }),
            Now::Over => {}
        }
    }
    let verdict = if revoked { "revoked" } else { "was not approved" };
    let (by, again) = (Some(credentials.actor(&app, &found.config)), format!("{} held again", held.len()));
    let (repo, sender, reason) = (Some(url.canonical()), Some(login.as_str()), Some(again.as_str()));
    Line { verdict, by, repo, sender, reason, ..Line::default() }.write("revoke");
    let what = if revoked { "not approved any more" } else { "was not approved" };
    let mut lines = vec![format!("{login}: {what}")];
    lines.extend(held.iter().map(|claim| format!("held again: {claim}")));
    lines.extend(under_way.iter().map(|one| format!("under way: {}", one.claim)));
    let object = SenderRevoked { repo: found.repo, login, revoked, held_again: held, under_way };
    Ok(Answer::of_lines(StatusCode::OK, lines, object).into_form(&headers))
}

fn address(repo: &str) -> Result<RepoUrl, Problem> {
    repo.parse().map_err(|_refused| Problem::unauthorized())
}

/// What the forge says of a login.
async fn account(app: &App, found: &Found, login: &str) -> Result<(String, u64), Problem> {
    let Some(config) = &found.config.forge else {
        return Err(Problem::bad_request("id: needed, since no forge is configured that could be asked"));
    };
    let forge = Forge::new(app.forge_client.clone(), config, &found.repo).map_err(|error| unasked(&error))?;
    let account = forge.account(login).await.map_err(|error| unasked(&error))?;
    account.ok_or_else(|| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "login: the forge knows no such account"))
}

fn unasked(error: &ForgeError) -> Problem {
    tracing::warn!(error = error as &dyn std::error::Error, "the forge did not say which account a login is");
    Problem::new(
        StatusCode::BAD_GATEWAY,
        "the forge could not be asked for the account's number; give its id, or try again",
    )
}

/// Whether a change was let through because this sender was approved always.
fn is_by(record: &Record, canonical: &str, login: &str, id: Option<u64>) -> bool {
    record.canonical == canonical
        && record.parent.is_none()
        && record.approved_by == Some(ApprovedBy::Always)
        && record.sender.login.eq_ignore_ascii_case(login)
        && id.is_none_or(|id| record.sender.id == Some(id))
}

/// What has become of a change whose sender is not approved any more.
enum Now {
    Held,
    UnderWay(Box<Record>),
    Over,
}

/// Holds a change that nobody has let go on yet; what is to be dispatched, or has been, is for people to cancel.
async fn hold_again(app: &App, claim: &ClaimId, mut stored: Stored<Record>) -> Result<Now, Problem> {
    for _ in 0..TRIES {
        match &stored.value.phase {
            Phase::Held => return Ok(Now::Held),
            Phase::Waiting => {}
            Phase::Claimed | Phase::Dispatched => return Ok(Now::UnderWay(Box::new(stored.value))),
            Phase::Ended { .. } => return Ok(Now::Over),
        }
        let record = Record { phase: Phase::Held, approved: None, approved_by: None, ..stored.value };
        match app.registry.update(claim, &record, stored.index, None).await.map_err(|error| registry_down(&error))? {
            Written::Yes(_) => return Ok(Now::Held),
            Written::Conflict | Written::LeaseLost => {}
        }
        match app.registry.open(claim).await.map_err(|error| registry_down(&error))? {
            Some(newer) => stored = newer,
            None => return Ok(Now::Over),
        }
    }
    Err(Problem::unavailable("a change of this sender is being written by others; revoke again"))
}
