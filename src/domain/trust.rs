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
        (EventKind::WorkflowJob, None) => return Trust::no("a runner of a workflow is never trusted"),
        (EventKind::PullRequest, None) | (_, Some(PullOrigin::Branch)) => {
            return Trust::no("a pull request is never trusted");
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{Pull, Sender};

    fn push(login: &str, id: Option<u64>) -> Change {
        Change {
            kind: EventKind::Push,
            git_ref: "refs/heads/main".to_owned(),
            branch: "main".to_owned(),
            before: String::new(),
            commit: "b".repeat(40).parse().unwrap(),
            sender: Sender { login: login.to_owned(), id },
            repository_id: Some(3),
            private: false,
            message: None,
            pull: None,
        }
    }

    fn config(trusted: &str) -> RepoConfig {
        RepoConfig::parse(format!(r#"{{"hook":{{"token":"t"}},"trusted":{trusted}}}"#).as_bytes()).unwrap()
    }

    fn is_trusted(change: &Change, trusted: &str) -> bool {
        let trust = decide(change, &config(trusted));
        assert!(!trust.why.is_empty());
        trust.trusted
    }

    #[test]
    fn a_listed_sender_s_push_is_trusted_whatever_the_case() {
        assert!(is_trusted(&push("Quentin", None), r#"{"senders":["quentin"]}"#));
        assert!(is_trusted(&Change { kind: EventKind::Tag, ..push("lx", None) }, r#"{"senders":["a","LX"]}"#));
        assert!(!is_trusted(&push("mallory", None), r#"{"senders":["quentin"]}"#));
        assert!(!is_trusted(&push("", None), r#"{"senders":["quentin"]}"#));
        assert!(!is_trusted(&push("quentin", None), "{}"));
        assert!(!is_trusted(&push("quentín", None), r#"{"senders":["quentin"]}"#));
        assert!(!is_trusted(&push("@trigger", None), r#"{"senders":["quentin"]}"#));
        assert!(is_trusted(&push("@trigger", None), r#"{"senders":["@trigger"]}"#));
    }

    #[test]
    fn an_id_once_given_must_match() {
        let senders = r#"{"senders":[{"login":"lx","id":7}]}"#;
        assert!(is_trusted(&push("LX", Some(7)), senders));
        assert!(!is_trusted(&push("lx", Some(8)), senders));
        assert!(!is_trusted(&push("lx", None), senders));
        assert!(!is_trusted(&push("other", Some(7)), senders));
        assert!(is_trusted(&push("lx", Some(8)), r#"{"senders":[{"login":"lx","id":7},{"login":"lx","id":8}]}"#));
    }

    #[test]
    fn a_repository_id_once_given_must_match() {
        assert!(is_trusted(&push("lx", None), r#"{"senders":["lx"],"repository_id":3}"#));
        assert!(!is_trusted(&push("lx", None), r#"{"senders":["lx"],"repository_id":4}"#));
        let unknown = Change { repository_id: None, ..push("lx", None) };
        assert!(!is_trusted(&unknown, r#"{"senders":["lx"],"repository_id":3}"#));
    }

    #[test]
    fn no_pull_request_is_trusted_whoever_acts_on_it() {
        for origin in [PullOrigin::Fork, PullOrigin::Agit, PullOrigin::Gone] {
            let pull = Some(Pull { number: 3, origin, author: "lx".to_owned(), author_id: None });
            for kind in [EventKind::PullRequest, EventKind::Push] {
                let change = Change { kind, pull: pull.clone(), ..push("lx", None) };
                assert!(!is_trusted(&change, r#"{"senders":["lx"]}"#), "{origin:?}");
            }
        }
        let odd = Change { kind: EventKind::PullRequest, ..push("lx", None) };
        assert!(!is_trusted(&odd, r#"{"senders":["lx"]}"#));
    }
}
