//! Pull requests: what the forges have in common once their words are read.

use serde::Deserialize;

use super::push::{Account, Repository, sha};
use super::{DeliveryError, ignored};
use crate::domain::event::{Change, Event, EventKind, Pull, PullOrigin, Sender};
use crate::domain::id::CommitSha;
use crate::domain::json::shown;

/// A delivery about a pull request. Gitea and GitHub name these fields alike.
#[derive(Deserialize)]
pub(super) struct PullDelivery {
    pub(super) action: String,
    number: Option<u64>,
    pull_request: PullRequest,
    #[serde(default)]
    repository: Repository,
    sender: Option<Account>,
}

#[derive(Deserialize)]
struct PullRequest {
    number: Option<u64>,
    state: Option<String>,
    merged: Option<bool>,
    user: Option<Account>,
    head: Head,
    base: Base,
}

#[derive(Deserialize)]
struct Head {
    label: Option<String>,
    #[serde(rename = "ref")]
    git_ref: Option<String>,
    sha: String,
    repo: Option<Repository>,
}

#[derive(Deserialize)]
struct Base {
    repo: Option<Repository>,
}

/// What an action asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// There is a new commit to look at, or an old one again.
    Build,
    /// Closed or merged.
    Close,
    /// Labels, reviews, titles.
    Nothing,
}

pub(super) fn read(json: &[u8]) -> Result<PullDelivery, DeliveryError> {
    serde_json::from_slice(json).map_err(|source| DeliveryError::Payload { event: "pull_request", source })
}

/// A pull request as its forge shows it to who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The newest commit.
    pub head: CommitSha,
    /// Its number, who opened it, and where it comes from.
    pub pull: Pull,
    /// Whether the base repository is private.
    pub private: bool,
}

/// Reads a forge's answer about one pull request.
///
/// # Errors
/// When it is none.
pub fn opened(json: &[u8]) -> Result<Opened, DeliveryError> {
    let read = |source| DeliveryError::Payload { event: "pull_request", source };
    let pull_request: PullRequest = serde_json::from_slice(json).map_err(read)?;
    let head = sha(&pull_request.head.sha)?;
    let number = pull_request.number.filter(|n| *n > 0);
    let number = number.ok_or_else(|| DeliveryError::BadRequest("the pull request has no number".into()))?;
    let base = pull_request.base.repo.as_ref();
    let (id, private) = (base.and_then(|base| base.id), base.is_none_or(Repository::is_private));
    let origin = origin(&pull_request, id).unwrap_or(PullOrigin::Branch);
    let Sender { login: author, id: author_id } = pull_request.user.into();
    Ok(Opened { head, pull: Pull { number, origin, author, author_id }, private })
}

pub(super) fn event(delivery: PullDelivery, action: Action) -> Result<Event, DeliveryError> {
    let pull = &delivery.pull_request;
    let number = delivery.number.or(pull.number).filter(|n| *n > 0);
    let Some(number) = number else { return Err(DeliveryError::BadRequest("the pull request has no number".into())) };
    match action {
        Action::Build => {}
        Action::Close => {
            let how = if pull.merged == Some(true) { "merged" } else { "closed" };
            return Ok(Event::PullClosed { number, reason: format!("pull request {number} was {how}") });
        }
        Action::Nothing => {
            let reason = format!("pull request {number}: `{}` brings no new commit", shown(&delivery.action));
            return Ok(ignored(EventKind::PullRequest, reason));
        }
    }
    if pull.state.as_deref() == Some("closed") {
        return Ok(ignored(EventKind::PullRequest, format!("pull request {number} is closed")));
    }
    let Some(origin) = origin(&delivery.pull_request, delivery.repository.id) else {
        let reason = format!("pull request {number} is from a branch of this repository: its push is built already");
        return Ok(ignored(EventKind::PullRequest, reason));
    };
    let commit = sha(&pull.head.sha)?;
    if commit.is_zero() {
        return Ok(ignored(EventKind::PullRequest, format!("pull request {number} has no commit")));
    }
    let Sender { login: author, id: author_id } = delivery.pull_request.user.into();
    Ok(Event::Change(Change {
        kind: EventKind::PullRequest,
        git_ref: format!("refs/pull/{number}/head"),
        branch: format!("pull/{number}/head"),
        before: String::new(),
        commit,
        repository_id: delivery.repository.id,
        private: delivery.repository.is_private(),
        sender: delivery.sender.into(),
        message: None,
        pull: Some(Pull { number, origin, author, author_id }),
    }))
}

/// Where the commits come from; none for a branch of the same repository. In an AGit pull request of a mere reader the
/// head's repository equals the base's, so it is told by its empty label or its ref.
fn origin(pull: &PullRequest, repository: Option<u64>) -> Option<PullOrigin> {
    let (head, base) = (&pull.head, &pull.base);
    let Some(repo) = &head.repo else { return Some(PullOrigin::Gone) };
    let git_ref = head.git_ref.as_deref().unwrap_or_default();
    let special = ["refs/pull/", "refs/for/", "refs/draft/", "refs/for-review/"];
    if head.label.as_deref().is_some_and(str::is_empty) || special.iter().any(|prefix| git_ref.starts_with(prefix)) {
        return Some(PullOrigin::Agit);
    }
    let base_id = base.repo.as_ref().and_then(|base| base.id);
    let same = repo.id.is_some() && repo.id == base_id && repo.id == repository;
    if same { None } else { Some(PullOrigin::Fork) }
}
