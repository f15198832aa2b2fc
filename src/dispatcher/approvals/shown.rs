//! `GET /held`: what waits for a person, and what he should know of it.

use std::collections::HashMap;
use std::time::Instant;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::access::Credentials;
use super::super::answer::{Answer, Problem};
use super::super::hook::registry_down;
use super::super::openapi::Listing;
use super::super::{App, SharedApp};
use super::files::{self, Files};
use crate::domain::config::RepoConfig;
use crate::domain::event::{PullOrigin, Sender};
use crate::domain::id::{ClaimId, JobName};
use crate::domain::record::{Phase, Record};
use crate::domain::repo_url::RepoUrl;

/// The longest list; what does not fit is counted.
const MOST: usize = 1_000;

/// Which ones.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct Which {
    /// Of this repository, by its address.
    repo: Option<String>,
    /// Of this login, in any case.
    sender: Option<String>,
    /// This one.
    claim: Option<ClaimId>,
    /// With what they touch.
    #[serde(default)]
    files: bool,
}

/// What waits for a person.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HeldList {
    /// Oldest first.
    held: Vec<HeldView>,
    /// So many more did not fit.
    left_off: usize,
}

/// One change that is held.
#[derive(Debug, Serialize, ToSchema)]
struct HeldView {
    claim: ClaimId,
    /// Its page.
    page: String,
    repo: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_request: Option<u64>,
    #[serde(rename = "ref")]
    git_ref: String,
    commit: String,
    flavor: String,
    /// Who acted.
    sender: Sender,
    /// Who opened the pull request.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// Why it is held, for people.
    why: &'static str,
    since: Timestamp,
    private: bool,
    /// Of a job: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobName>,
    /// What it touches; where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<Files>,
}

/// What waits for a person, oldest first
///
/// Private changes, and any change's files, only for a bearer of their repository.
#[utoipa::path(get, path = "/held", tag = "people", operation_id = "list_held", params(Which),
    responses(
        (status = 200, description = "The changes; as text one a line.",
            content((HeldList = "application/json"), (String = "text/plain"))),
        Listing,
    ),
    security((), ("bearer" = []), ("token" = [])),)]
pub(crate) async fn held(
    State(app): State<SharedApp>,
    Query(which): Query<Which>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let open = app.known.open(&app, Instant::now()).await.map_err(|error| registry_down(&error))?;
    let entries = app.registry.entries().await.map_err(|error| registry_down(&error))?;
    let theirs = entries.into_iter().filter(|found| credentials.reads(&app, &found.config));
    let readable: HashMap<String, RepoConfig> = theirs.map(|found| (found.repo, found.config)).collect();
    let which = which.canonical();
    let is_visible = |record: &Record| !record.private || readable.contains_key(&record.repo);
    let mut shown: Vec<(&ClaimId, &Record)> = open
        .iter()
        .map(|(claim, stored)| (claim, &stored.value))
        .filter(|(claim, record)| which.takes(claim, record) && is_visible(record))
        .collect();
    shown.sort_by_key(|(claim, record)| (record.created, claim.as_str()));
    let left_off = shown.len().saturating_sub(MOST);
    shown.truncate(MOST);
    let mut views: Vec<HeldView> = shown.iter().map(|(claim, record)| HeldView::of(&app, claim, record)).collect();
    if which.files {
        let records: Vec<&Record> = shown.iter().map(|(_, record)| *record).collect();
        for (view, files) in views.iter_mut().zip(files::of(&app, &records, &readable).await) {
            view.files = Some(files);
        }
    }
    let lines = views.iter().map(HeldView::line).collect();
    Ok(Answer::of_lines(StatusCode::OK, lines, HeldList { held: views, left_off }).into_form(&headers))
}

impl Which {
    /// With the repository's address in its canonical form, where it is one.
    fn canonical(self) -> Self {
        let form = |repo: String| match repo.parse::<RepoUrl>() {
            Ok(url) => url.canonical().to_owned(),
            Err(_no_address) => repo,
        };
        Self { repo: self.repo.map(form), ..self }
    }

    fn takes(&self, claim: &ClaimId, record: &Record) -> bool {
        matches!(record.phase, Phase::Held)
            && record.stop.is_none()
            && self.claim.as_ref().is_none_or(|wanted| wanted == claim)
            && self.repo.as_ref().is_none_or(|repo| record.canonical == *repo)
            && self.sender.as_ref().is_none_or(|login| record.sender.login.eq_ignore_ascii_case(login))
    }
}

impl HeldView {
    fn of(app: &App, claim: &ClaimId, record: &Record) -> Self {
        let job = record.parent.as_ref().map(|parent| parent.name.clone());
        let why = match (&job, record.pull.as_ref().map(|pull| pull.origin)) {
            (Some(_), _) => "its build wants a person to approve this job",
            (None, Some(PullOrigin::Fork)) => "a pull request from a fork",
            (None, Some(PullOrigin::Agit)) => "a pull request without a branch (AGit)",
            (None, Some(PullOrigin::Gone)) => "a pull request whose repository is gone",
            (None, Some(PullOrigin::Branch)) => "a pull request from a branch of the repository",
            (None, None) => "it waits for approval",
        };
        Self {
            claim: claim.clone(),
            page: app.link(&format!("/builds/claim/{claim}")),
            repo: record.repo.clone(),
            pull_request: record.pull.as_ref().map(|pull| pull.number),
            git_ref: record.git_ref.clone(),
            commit: record.commit.to_string(),
            flavor: record.flavor.to_string(),
            sender: record.sender.clone(),
            author: record.pull.as_ref().map(|pull| pull.author.clone()),
            why,
            since: record.created,
            private: record.private,
            job,
            files: None,
        }
    }

    fn line(&self) -> String {
        let Self { claim, repo, git_ref, commit, why, .. } = self;
        format!("{claim}\t{repo}\t{git_ref}\t{commit}\t{}\t{why}", self.sender.login)
    }
}
