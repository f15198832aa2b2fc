//! Which change takes the place of which, once the forge has said what the ref's head is.

use super::id::CommitSha;
use super::outcome::Outcome;
use super::record::{Done, Phase, Record};
use super::repo_url::RepoUrl;

/// Whether two changes are of one ref and flavor, so that one of them may be newer than the other.
fn same_line(one: &Record, other: &Record) -> bool {
    one.canonical == other.canonical
        && one.git_ref == other.git_ref
        && one.flavor == other.flavor
        && one.event == other.event
}

/// Whether `head`, whose commit is its ref's head, takes the place of `other`. The same commit never does: it was asked
/// to be built again.
#[must_use]
pub fn takes_place_of(head: &Record, other: &Record) -> bool {
    let is_open = !matches!(other.phase, Phase::Ended { .. }) && other.stop.is_none() && other.parent.is_none();
    // What a person has asked for since is what he wants to see, whatever the head is.
    let asked_since = other.sender.is_trigger() && other.created >= head.created;
    is_open && !asked_since && same_line(head, other) && other.commit != head.commit
}

/// Whether the open record `other` is of the head's commit, so that `record` with its older commit need not be built.
#[must_use]
pub fn is_built_by(record: &Record, head: &CommitSha, other: &Record) -> bool {
    // What failed before there was a build is forgotten, and comes again with a redelivery.
    let built = match &other.phase {
        Phase::Ended { outcome: Outcome::Skipped { .. } } => false,
        Phase::Ended { outcome: Outcome::Infra { .. } } => other.build.is_some(),
        Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched | Phase::Ended { .. } => true,
    };
    // What may yet turn out not to be built takes nobody's place; once it is settled it looks for older ones itself.
    built && other.undecided.is_none() && other.parent.is_none() && other.commit == *head && same_line(record, other)
}

/// The same of an ended change.
#[must_use]
pub fn was_built_by(record: &Record, head: &CommitSha, other: &Done) -> bool {
    !matches!(other.outcome, Outcome::Skipped { .. })
        && other.parent.is_none()
        && other.commit == *head
        && other.git_ref == record.git_ref
        && other.flavor == record.flavor
        && other.event == record.event
        && other.repo.parse::<RepoUrl>().is_ok_and(|url| url.canonical() == record.canonical)
}

/// Whether a head may end `record` at all: what a person asks for is built though its commit is an old one.
#[must_use]
pub fn may_be_ended(record: &Record) -> bool {
    !record.sender.is_trigger()
}

/// By what a change is ended, for people.
#[must_use]
pub fn newer(head: &CommitSha) -> String {
    format!("a newer change ({})", head.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "1111111111111111111111111111111111111111";
    const NEW: &str = "2222222222222222222222222222222222222222";

    fn record(commit: &str, change: impl FnOnce(&mut serde_json::Value)) -> Record {
        let mut json = serde_json::json!({
            "version": 1, "nonce": "n", "repo": "http://git.example/a/b", "canonical": "http://git.example/a/b",
            "ref": "refs/heads/main", "branch": "main", "before": "", "commit": commit, "flavor": "default",
            "event": "push", "sender": {"login": "quentin"}, "trusted": false, "private": false,
            "builder": "builder", "namespace": "ci", "meta": {}, "phase": {"is": "dispatched"},
            "created": "2026-11-21T00:00:00Z",
        });
        change(&mut json);
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn the_head_takes_the_place_of_other_commits_of_its_ref_and_flavor() {
        let head = record(NEW, |_| {});
        for phase in ["held", "waiting", "claimed", "dispatched"] {
            assert!(takes_place_of(&head, &record(OLD, |json| json["phase"]["is"] = phase.into())), "{phase}");
        }
        assert!(!takes_place_of(&head, &record(NEW, |json| json["nonce"] = "again".into())), "the same commit");
        let others: [fn(&mut serde_json::Value); 7] = [
            |json| json["ref"] = "refs/heads/other".into(),
            |json| json["flavor"] = "big".into(),
            |json| json["event"] = "tag".into(),
            |json| json["canonical"] = "http://git.example/a/c".into(),
            |json| json["phase"] = serde_json::json!({"is": "ended", "outcome": {"is": "success"}}),
            |json| json["parent"] = serde_json::json!({"claim": "a".repeat(64), "name": "tests"}),
            |json| json["stop"] = serde_json::json!({"why": "cancel", "by": "a user", "at": "2026-11-21T00:00:00Z"}),
        ];
        for other in others {
            assert!(!takes_place_of(&head, &record(OLD, other)), "{:?}", record(OLD, other));
        }
    }

    #[test]
    fn what_a_person_asks_for_later_stays_and_what_he_asked_for_before_goes() {
        let head = record(NEW, |_| {});
        let asked = |created: &str| {
            record(OLD, |json| {
                json["sender"]["login"] = "@trigger".into();
                json["created"] = created.into();
            })
        };
        assert!(!takes_place_of(&head, &asked("2026-11-21T00:01:00Z")));
        assert!(takes_place_of(&head, &asked("2026-11-20T23:59:00Z")));
        assert!(!may_be_ended(&asked("2026-11-20T23:59:00Z")));
        assert!(may_be_ended(&head));
    }

    #[test]
    fn a_change_whose_head_is_built_or_was_need_not_be_built() {
        let (late, head) = (record(OLD, |_| {}), record(NEW, |_| {}));
        assert!(is_built_by(&late, &head.commit, &head));
        assert!(was_built_by(&late, &head.commit, &Done::of(&head, &Outcome::Success)));
        let skipped = Outcome::Skipped { reason: "as its message says".to_owned() };
        assert!(!was_built_by(&late, &head.commit, &Done::of(&head, &skipped)));
        let infra = Outcome::Infra { reason: "there is no builder".to_owned() };
        for outcome in [skipped, infra] {
            let never_built = Record { phase: Phase::Ended { outcome }, ..head.clone() };
            assert!(!is_built_by(&late, &head.commit, &never_built), "{:?}", never_built.phase);
        }
        let elsewhere = Record { git_ref: "refs/heads/other".to_owned(), ..head.clone() };
        assert!(!is_built_by(&late, &head.commit, &elsewhere));
        assert!(!was_built_by(&late, &head.commit, &Done::of(&elsewhere, &Outcome::Success)));
    }
}
