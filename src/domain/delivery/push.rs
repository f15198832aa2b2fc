//! Pushes. Gitea, Forgejo and GitHub send the fields that matter under the same names.

use serde::Deserialize;

use super::{DeliveryError, ignored};
use crate::domain::event::{Change, Event, EventKind, Sender};
use crate::domain::id::CommitSha;
use crate::domain::json::shown;

/// <https://docs.gitea.com/usage/repository/webhooks>, <https://docs.github.com/en/webhooks/webhook-events-and-payloads#push>
#[derive(Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    git_ref: String,
    before: Option<String>,
    after: Option<String>,
    deleted: Option<bool>,
    /// Absent where somebody wrote the payload by hand; null for a ref that holds no commit.
    #[serde(default, deserialize_with = "present")]
    head_commit: Option<Option<Commit>>,
    #[serde(default)]
    repository: Repository,
    sender: Option<Account>,
}

#[derive(Deserialize)]
struct Commit {
    id: String,
    message: Option<String>,
}

/// The repository that a hook belongs to.
#[derive(Deserialize, Default)]
pub(super) struct Repository {
    #[serde(default, deserialize_with = "number")]
    pub(super) id: Option<u64>,
    private: Option<bool>,
    /// Gitea: only for those who are signed in.
    internal: Option<bool>,
}

impl Repository {
    /// A delivery that does not say is taken for one of a private repository.
    pub(super) fn is_private(&self) -> bool {
        self.private.unwrap_or(true) || self.internal.unwrap_or(false)
    }
}

/// An account of the forge.
#[derive(Deserialize)]
pub(super) struct Account {
    login: Option<String>,
    #[serde(default, deserialize_with = "number")]
    id: Option<u64>,
}

impl From<Option<Account>> for Sender {
    fn from(account: Option<Account>) -> Self {
        let (login, id) = account.map_or((None, None), |account| (account.login, account.id));
        Self { login: login.unwrap_or_default(), id }
    }
}

/// Gitea's own accounts have negative numbers: a deleted account is -1, its Actions -2. They are no account's number.
fn number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    Ok(Option::<i64>::deserialize(from)?.and_then(|id| u64::try_from(id).ok()))
}

fn present<'de, D, T>(from: D) -> Result<Option<Option<T>>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::<T>::deserialize(from).map(Some)
}

pub(super) fn read(json: &[u8]) -> Result<Event, DeliveryError> {
    let push: Push = serde_json::from_slice(json).map_err(|source| DeliveryError::Payload { event: "push", source })?;
    let (kind, name) = if let Some(name) = push.git_ref.strip_prefix("refs/heads/") {
        (EventKind::Push, name.to_owned())
    } else if let Some(name) = push.git_ref.strip_prefix("refs/tags/") {
        (EventKind::Tag, name.to_owned())
    } else {
        let reason = format!("{} is neither a branch nor a tag", shown(&push.git_ref));
        return Ok(Event::Ignored { kind: None, reason });
    };
    let Some(commit) = commit(&push, kind)? else {
        return Ok(ignored(kind, format!("{} {} was deleted", word(kind), shown(&name))));
    };
    let Some(commit) = commit else {
        return Ok(ignored(kind, format!("{} {} holds no commit", word(kind), shown(&name))));
    };
    Ok(Event::Change(Change {
        kind,
        branch: name,
        before: before(push.before)?,
        commit,
        repository_id: push.repository.id,
        private: push.repository.is_private(),
        sender: push.sender.into(),
        message: push.head_commit.flatten().and_then(|commit| commit.message).map(String::into_boxed_str),
        pull: None,
        git_ref: push.git_ref,
    }))
}

fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Push => "branch",
        EventKind::Tag => "tag",
        EventKind::PullRequest => "pull request",
        EventKind::WorkflowJob => "workflow's job",
    }
}

/// What to build: none for a deleted ref, none inside for a tag that points at no commit. A tag's `after` may be the tag
/// object, so its `head_commit` is asked first; a branch's `after` always is the commit.
fn commit(push: &Push, kind: EventKind) -> Result<Option<Option<CommitSha>>, DeliveryError> {
    let after = push.after.as_deref().unwrap_or_default();
    if push.deleted == Some(true) || (!after.is_empty() && after.bytes().all(|b| b == b'0')) {
        return Ok(None);
    }
    let head = push.head_commit.as_ref().map(|head| head.as_ref().map(|commit| commit.id.as_str()));
    let id = match (kind, head) {
        (EventKind::Tag, Some(None)) => return Ok(Some(None)),
        (EventKind::Tag, Some(Some(id))) => id,
        (EventKind::Push | EventKind::PullRequest, Some(Some(id))) if after.is_empty() => id,
        (EventKind::Push | EventKind::PullRequest | EventKind::Tag | EventKind::WorkflowJob, _) => after,
    };
    let sha = sha(id)?;
    Ok(if sha.is_zero() { None } else { Some(Some(sha)) })
}

pub(super) fn sha(text: &str) -> Result<CommitSha, DeliveryError> {
    text.parse().map_err(|why: crate::domain::id::IdError| DeliveryError::Unprocessable(why.to_string()))
}

fn before(text: Option<String>) -> Result<String, DeliveryError> {
    let text = text.unwrap_or_default();
    if text.is_empty() || text.parse::<CommitSha>().is_ok() {
        return Ok(text);
    }
    Err(DeliveryError::Unprocessable("before: expected 40 or 64 hexadecimal digits".to_owned()))
}
