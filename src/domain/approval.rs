//! Whose pull requests to one repository are built without asking each time. They are no more trusted for it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Pull, Sender};
use super::record::VERSION;

/// Senders of one repository: an entry of Consul holds 512 KiB, and nobody looks through a longer list.
pub const MOST_SENDERS: usize = 1_000;
/// Bytes of a login: forges allow 40.
const MAX_LOGIN: usize = 100;

/// `<prefix>-builds/approved/<SHA-256 of the canonical address>`: who is approved always, for one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approved {
    /// [`VERSION`] of records.
    pub version: u32,
    /// The canonical address.
    pub canonical: String,
    /// Who, each account once.
    pub senders: Vec<ApprovedSender>,
    /// What other versions wrote.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// An account whose pull requests are built without asking.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovedSender {
    /// Its login when it was approved.
    pub login: String,
    /// Its number at the forge: a login can be given to somebody else.
    pub id: u64,
    /// When a person said so.
    pub since: Timestamp,
}

/// Why a sender cannot be approved always.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// A maintainer who reopens a stranger's pull request approves nothing, and would not be whom it is about.
    #[error("{acted} acted, and {author} opened the pull request: name whom you mean by login and id")]
    NotTheAuthor {
        /// Who acted.
        acted: String,
        /// Who opened it.
        author: String,
    },
    /// Without its number an account is not known when it comes back.
    #[error("the forge did not say which number the account {0} has: name it with its id")]
    NoId(String),
    /// Not a login of any forge.
    #[error("login: expected 1 to {MAX_LOGIN} characters without spaces")]
    Login,
    /// [`MOST_SENDERS`].
    #[error(
        "{MOST_SENDERS} senders of this repository are approved already: revoke some, or set pull_requests to build"
    )]
    Full,
}

/// The account behind a pull request, if the one who acted is the one who opened it.
///
/// # Errors
/// [`ApprovalError::NotTheAuthor`] or [`ApprovalError::NoId`].
pub fn author(sender: &Sender, pull: &Pull) -> Result<(String, u64), ApprovalError> {
    let differs = || ApprovalError::NotTheAuthor { acted: sender.login.clone(), author: pull.author.clone() };
    if sender.login.is_empty() || !sender.login.eq_ignore_ascii_case(&pull.author) {
        return Err(differs());
    }
    match (sender.id, pull.author_id) {
        (Some(acted), Some(opened)) if acted == opened => Ok((sender.login.clone(), acted)),
        (Some(_), Some(_)) => Err(differs()),
        (None, _) | (_, None) => Err(ApprovalError::NoId(sender.login.clone())),
    }
}

impl Approved {
    /// Nobody, for this repository.
    #[must_use]
    pub fn nobody(canonical: &str) -> Self {
        let canonical = canonical.to_owned();
        Self { version: VERSION, canonical, senders: Vec::new(), other: serde_json::Map::new() }
    }

    /// Whether a change is one of an approved account: its login and its number, and it opened the pull request itself.
    #[must_use]
    pub fn covers(&self, sender: &Sender, pull: &Pull) -> bool {
        let Ok((login, id)) = author(sender, pull) else { return false };
        self.senders.iter().any(|known| known.id == id && known.login.eq_ignore_ascii_case(&login))
    }

    /// Adds an account. Of two entries with one login or one number only the new one stays. False: it was there.
    ///
    /// # Errors
    /// [`ApprovalError::Login`] or [`ApprovalError::Full`].
    pub fn add(&mut self, login: &str, id: u64, now: Timestamp) -> Result<bool, ApprovalError> {
        let odd = |c: char| c.is_control() || c.is_whitespace();
        if login.is_empty() || login.len() > MAX_LOGIN || login.contains(odd) {
            return Err(ApprovalError::Login);
        }
        let is_it = |known: &ApprovedSender| known.id == id && known.login.eq_ignore_ascii_case(login);
        if self.senders.iter().any(is_it) {
            return Ok(false);
        }
        self.senders.retain(|known| known.id != id && !known.login.eq_ignore_ascii_case(login));
        if self.senders.len() >= MOST_SENDERS {
            return Err(ApprovalError::Full);
        }
        self.senders.push(ApprovedSender { login: login.to_owned(), id, since: now });
        Ok(true)
    }

    /// Removes a login, or with `id` only that account of it. False: it was not there.
    pub fn remove(&mut self, login: &str, id: Option<u64>) -> bool {
        let before = self.senders.len();
        let is_it =
            |known: &ApprovedSender| known.login.eq_ignore_ascii_case(login) && id.is_none_or(|id| id == known.id);
        self.senders.retain(|known| !is_it(known));
        self.senders.len() != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::PullOrigin;

    fn sender(login: &str, id: Option<u64>) -> Sender {
        Sender { login: login.to_owned(), id }
    }

    fn pull(author: &str, author_id: Option<u64>) -> Pull {
        Pull { number: 3, origin: PullOrigin::Fork, author: author.to_owned(), author_id }
    }

    fn mallory() -> Approved {
        let mut approved = Approved::nobody("http://git.example/a/b.git");
        assert_eq!(approved.add("mallory", 4, Timestamp::UNIX_EPOCH), Ok(true));
        approved
    }

    #[test]
    fn an_approved_account_is_known_by_its_login_and_its_number() {
        let approved = mallory();
        let covers = |login: &str, id| approved.covers(&sender(login, id), &pull(login, id));
        assert!(covers("mallory", Some(4)) && covers("Mallory", Some(4)));
        assert!(!covers("mallory", Some(5)), "the login is somebody else's now");
        assert!(!covers("renamed", Some(4)), "the account has another name: look at it again");
        assert!(!covers("mallory", None));
        assert!(!covers("", Some(4)));
        assert!(!Approved::nobody("r").covers(&sender("mallory", Some(4)), &pull("mallory", Some(4))));
    }

    #[test]
    fn who_acts_on_another_s_pull_request_approves_nothing() {
        let approved = mallory();
        assert!(!approved.covers(&sender("mallory", Some(4)), &pull("eve", Some(9))));
        assert!(!approved.covers(&sender("quentin", Some(1)), &pull("mallory", Some(4))));
        assert!(!approved.covers(&sender("mallory", Some(4)), &pull("mallory", Some(9))));
        assert!(!approved.covers(&sender("mallory", Some(4)), &pull("mallory", None)));
        let wrong = author(&sender("quentin", Some(1)), &pull("mallory", Some(4)));
        assert!(matches!(wrong, Err(ApprovalError::NotTheAuthor { .. })), "{wrong:?}");
        let unknown = author(&sender("mallory", None), &pull("mallory", Some(4)));
        assert_eq!(unknown, Err(ApprovalError::NoId("mallory".to_owned())));
    }

    #[test]
    fn an_account_stands_there_once() {
        let mut approved = mallory();
        assert_eq!(approved.add("MALLORY", 4, Timestamp::UNIX_EPOCH), Ok(false));
        assert_eq!(approved.add("renamed", 4, Timestamp::UNIX_EPOCH), Ok(true));
        assert_eq!(approved.add("Renamed", 7, Timestamp::UNIX_EPOCH), Ok(true));
        let all: Vec<_> = approved.senders.iter().map(|one| (one.login.as_str(), one.id)).collect();
        assert_eq!(all, [("Renamed", 7)]);
        assert!(!approved.remove("renamed", Some(4)));
        assert!(approved.remove("renamed", None));
        assert!(!approved.remove("renamed", None));
    }

    #[test]
    fn no_list_grows_without_end_and_no_odd_login_gets_in() {
        let mut approved = mallory();
        for login in ["", "a b", "a\nb", &"x".repeat(MAX_LOGIN + 1)] {
            assert_eq!(approved.add(login, 9, Timestamp::UNIX_EPOCH), Err(ApprovalError::Login), "{login:?}");
        }
        for id in 5.. {
            match approved.add(&format!("{id:0>100}"), id, Timestamp::UNIX_EPOCH) {
                Ok(added) => assert!(added),
                Err(full) => {
                    assert_eq!(full, ApprovalError::Full);
                    break;
                }
            }
        }
        assert_eq!(approved.senders.len(), MOST_SENDERS);
        assert!(serde_json::to_vec(&approved).unwrap().len() < 512 * 1024);
        assert_eq!(approved.add("mallory", 4, Timestamp::UNIX_EPOCH), Ok(false), "who is there stays");
    }

    #[test]
    fn what_another_version_wrote_is_kept() {
        let text = r#"{"version":1,"canonical":"r","senders":[],"more":{"a":1}}"#;
        let approved: Approved = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_value(&approved).unwrap()["more"]["a"], 1);
    }
}
