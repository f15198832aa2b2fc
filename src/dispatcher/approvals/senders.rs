//! `/approved`: the senders whose pull requests are built without asking.

use std::collections::HashMap;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::access::{self, Credentials};
use super::super::answer::{Answer, Problem};
use super::super::hook::registry_down;
use super::super::{App, SharedApp};
use super::{TRIES, change_list};
use crate::api::forge::{Forge, ForgeError};
use crate::domain::id::ClaimId;
use crate::domain::record::{ApprovedBy, Phase, Record};
use crate::domain::repo_url::RepoUrl;
use crate::registry::{Found, Stored, Written};

/// Whom it is about.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Named {
    /// The repository's address, as in its configuration key.
    repo: String,
    login: String,
    /// The account's number at the forge, which is asked for it otherwise.
    #[serde(default)]
    id: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Of {
    repo: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Removed {
    repo: String,
    login: String,
    id: Option<u64>,
}

/// Approves an account always, for one repository. False: it was so.
pub(super) async fn approve(app: &App, canonical: &str, login: &str, id: u64) -> Result<bool, Problem> {
    let new = change_list(app, canonical, |list| list.add(login, id, jiff::Timestamp::now())).await?;
    tracing::info!(repo = canonical, login, id, new, "a sender is approved always");
    Ok(new)
}

/// `GET /approved?repo=`: of the repositories whose private builds the bearer may see.
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
    let object: Vec<Value> = rows
        .iter()
        .map(|(repo, sender)| json!({"repo": repo, "login": sender.login, "id": sender.id, "since": sender.since}))
        .collect();
    let line = |(repo, sender): &(&String, crate::domain::approval::ApprovedSender)| {
        format!("{}\t{}\t{}\t{repo}", sender.login, sender.id, sender.since)
    };
    let lines = rows.iter().map(line).collect();
    Ok(Answer { status: StatusCode::OK, lines, object: object.into() }.into_form(&headers))
}

/// `PUT /approved`
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
    let new = approve(&app, url.canonical(), &login, id).await?;
    let object = json!({"repo": found.repo, "login": login, "id": id, "approved": true, "new": new});
    let what = if new { "approved always" } else { "was approved always" };
    Ok(Answer::new(StatusCode::OK, format!("{login} ({id}): {what}"), object).into_form(&headers))
}

/// `DELETE /approved?repo=&login=&id=`: what he sends from now on is held; so is what has not got its turn yet.
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
            Now::UnderWay(record) => under_way.push(json!({"claim": claim, "build": record.build})),
            Now::Over => {}
        }
    }
    tracing::info!(repo = url.canonical(), login, id, revoked, held_again = held.len(), "a sender is not approved");
    let what = if revoked { "not approved any more" } else { "was not approved" };
    let mut lines = vec![format!("{login}: {what}")];
    lines.extend(held.iter().map(|claim| format!("held again: {claim}")));
    lines.extend(under_way.iter().filter_map(|one| Some(format!("under way: {}", one.get("claim")?.as_str()?))));
    let object = json!({
        "repo": found.repo, "login": login, "revoked": revoked, "held_again": held, "under_way": under_way,
    });
    Ok(Answer { status: StatusCode::OK, lines, object }.into_form(&headers))
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
