//! Whether a change may see the repository's secrets.

use super::config::RepoConfig;
use super::event::{Change, EventKind, PullOrigin};
use super::json::shown;

/// The answer, with its reason for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// May see the secrets.
    pub trusted: bool,
    /// Why, or why not.
    pub why: String,
}

impl Trust {
    /// No.
    #[must_use]
    pub fn no(why: impl Into<String>) -> Self {
        Self { trusted: false, why: why.into() }
    }
}

/// Trusted only if the change is a push to this repository and its sender (never a commit's author) is listed; an id,
/// once given, must match, and so must the repository's.
#[must_use]
pub fn decide(change: &Change, config: &RepoConfig) -> Trust {
    match (change.kind, change.pull.as_ref().map(|pull| pull.origin)) {
        (EventKind::Push | EventKind::Tag, None) => {}
        (_, Some(PullOrigin::Fork)) => return Trust::no("a pull request from a fork is never trusted"),
        (_, Some(PullOrigin::Agit)) => return Trust::no("a pull request without a branch (AGit) is never trusted"),
        (_, Some(PullOrigin::Gone)) => {
            return Trust::no("a pull request whose repository is gone is never trusted");
        }
        (EventKind::PullRequest, None) => return Trust::no("a pull request is never trusted"),
    }
    if config.repository_id.is_some_and(|id| change.repository_id != Some(id)) {
        return Trust::no("the repository's id is not the configured repository_id");
    }
    if change.sender.login.is_empty() {
        return Trust::no("the delivery names no sender");
    }
    let login = shown(&change.sender.login);
    if config.trusted.is_empty() {
        return Trust::no(format!("no senders are trusted, so {login} is not"));
    }
    let mut listed = false;
    for entry in config.trusted.iter().filter(|entry| entry.login.eq_ignore_ascii_case(&change.sender.login)) {
        listed = true;
        if entry.id.is_none() || entry.id == change.sender.id {
            return Trust { trusted: true, why: format!("sender {login} is in trusted.senders") };
        }
    }
    if listed {
        return Trust::no(format!("sender {login} is in trusted.senders, but with another id"));
    }
    Trust::no(format!("sender {login} is not in trusted.senders"))
}
