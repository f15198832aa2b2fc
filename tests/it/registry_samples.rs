//! Records as a registry keeps them.

use albatros::domain::approval::Approved;
use albatros::domain::id::ClaimId;
use albatros::domain::record::{Done, Record};
use serde_json::json;

pub(crate) fn id(digit: char) -> ClaimId {
    digit.to_string().repeat(64).parse().unwrap()
}

pub(crate) fn record(nonce: &str) -> Record {
    serde_json::from_value(json!({
        "version": 1, "nonce": nonce, "repo": "https://git.example/a/b.git", "canonical": "https://git.example/a/b.git",
        "ref": "refs/heads/main", "branch": "main", "before": "0".repeat(40), "commit": "a".repeat(40),
        "flavor": "default", "event": "push", "sender": {"login": "quentin"}, "trusted": true, "private": false,
        "builder": "builder", "namespace": "ci", "meta": {}, "created": "2026-11-21T12:00:00Z",
        "phase": {"is": "claimed"}, "from_a_later_version": {"kept": true}
    }))
    .unwrap()
}

pub(crate) fn done() -> Done {
    serde_json::from_value(json!({
        "version": 1, "outcome": {"is": "success"}, "created": "2026-11-21T12:00:00Z",
        "finished": "2026-11-21T12:00:09Z", "repo": "https://git.example/a/b.git", "ref": "refs/heads/main",
        "before": "0".repeat(40), "commit": "a".repeat(40), "flavor": "default", "event": "push", "private": false
    }))
    .unwrap()
}

/// These logins are approved always.
pub(crate) fn approved(logins: &[&str]) -> Approved {
    let mut approved = Approved::nobody("https://git.example/a/b.git");
    for (id, login) in (1..).zip(logins) {
        approved.add(login, id, jiff::Timestamp::UNIX_EPOCH).unwrap();
    }
    approved
}
