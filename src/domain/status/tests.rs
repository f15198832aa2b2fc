//! What a verdict comes to, and how it is told.

use super::*;

const CREATED: i64 = 1_766_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(CREATED + seconds).expect("in range")
}

fn record(phase: Phase) -> Record {
    serde_json::from_value(serde_json::json!({
        "version": 1, "nonce": "n", "repo": "http://git.example/a/b", "canonical": "http://git.example/a/b",
        "ref": "refs/heads/main", "branch": "main", "before": "", "commit": "1".repeat(40), "flavor": "default",
        "event": "push", "sender": {"login": "quentin"}, "trusted": false, "private": false,
        "builder": "builder", "namespace": "ci", "meta": {}, "created": at(0).to_string(),
        "phase": serde_json::to_value(phase).expect("a phase"),
    }))
    .expect("a record")
}

fn ended(outcome: Outcome, started: i64, finished: i64) -> Record {
    let mut record = record(Phase::Ended { outcome });
    record.started = Some(at(started));
    record.finished = Some(at(finished));
    record
}

#[test]
fn every_outcome_has_its_word_and_sentence() {
    let infra = Outcome::Infra { reason: "the image is missing".to_owned() };
    let by = Outcome::Cancelled { by: "quentin".to_owned() };
    for (outcome, state, text) in [
        (Outcome::Success, State::Success, "Successful in 12s"),
        (Outcome::Failure { exit_code: 3, signal: 0 }, State::Failure, "Failed with exit 3 after 12s"),
        (Outcome::Failure { exit_code: 137, signal: 9 }, State::Failure, "Failed by signal 9 after 12s"),
        (Outcome::Oom { exit_code: 137 }, State::Failure, "Out of memory"),
        (Outcome::Timeout, State::Failure, "Timed out after 12s"),
        (by, State::Failure, "Cancelled by quentin"),
        (infra, State::Error, "the image is missing"),
        (Outcome::Lost { reason: "node gone".to_owned() }, State::Error, "node gone"),
        (Outcome::Expired, State::Error, "Nomad no longer knows this build"),
    ] {
        let status = status_of(&ended(outcome, 5, 17), None);
        assert_eq!(status, Status { state, description: text.to_owned(), last: true });
    }
}

#[test]
fn a_final_status_counts_the_tests() {
    let told = |outcome, failed| {
        let tests = Some(TestCounts { total: 214, failed, skipped: 0 });
        status_of(&Record { tests, ..ended(outcome, 5, 9) }, None).description
    };
    let failure = Outcome::Failure { exit_code: 1, signal: 0 };
    assert_eq!(told(failure, 3), "Failed with exit 1 after 4s, 3 of 214 tests failed");
    assert_eq!(told(Outcome::Success, 0), "Successful in 4s, 214 tests passed");
    assert_eq!(told(Outcome::Expired, 3), "Nomad no longer knows this build");
}

#[test]
fn nothing_that_is_not_over_is_final() {
    let verdicts = [
        (None, "Queued"),
        (Some(Verdict::Queued { reason: "memory".to_owned() }), "Queued: memory"),
        (Some(Verdict::Queued { reason: String::new() }), "Queued"),
        (Some(Verdict::Unplaceable { reason: "kernel".to_owned() }), "No node can take it: kernel"),
        (Some(Verdict::Preparing), "Preparing"),
        (Some(Verdict::Running), "Running"),
        (Some(Verdict::Ended(Outcome::Success)), "Ending"),
    ];
    for (verdict, text) in verdicts {
        let status = status_of(&record(Phase::Dispatched), verdict.as_ref());
        assert_eq!(status, Status { state: State::Pending, description: text.to_owned(), last: false });
    }
    assert_eq!(status_of(&record(Phase::Held), None).description, "Waiting for approval");
}

#[test]
fn a_time_out_of_ours_is_told_by_its_limit() {
    let mut record = ended(Outcome::Timeout, 5, 5 + 3_617);
    record.stop = Some(Stop { why: StopWhy::Timeout, by: "the time limit".to_owned(), at: at(5 + 3_600) });
    assert_eq!(status_of(&record, None).description, "Timed out after 1h");
}

#[test]
fn a_clock_that_went_back_gives_no_negative_time() {
    assert_eq!(status_of(&ended(Outcome::Success, 20, 10), None).description, "Successful in 0s");
}

#[test]
fn spans_are_told_by_their_two_largest_units() {
    for (seconds, text) in
        [(0, "0s"), (59, "59s"), (60, "1m"), (90, "1m30s"), (3_605, "1h"), (3_660, "1h1m"), (90_000, "1d1h")]
    {
        assert_eq!(for_people(SignedDuration::from_secs(seconds)), text);
    }
}

#[test]
fn branch_tag_and_pull_request_have_contexts_of_their_own() {
    let mut one = record(Phase::Held);
    one.flavor = "big".parse().expect("a flavor");
    let mut contexts = Vec::new();
    for event in [EventKind::Push, EventKind::Tag, EventKind::PullRequest] {
        one.event = event;
        contexts.push(context(&one));
    }
    assert_eq!(contexts, ["Albatros big", "Albatros big (tag)", "Albatros big (pull request)"]);
}

#[test]
fn a_long_or_broken_reason_stays_one_short_line() {
    let reason = format!("a\nb\u{7}{}", "ü".repeat(300));
    let text = status_of(&ended(Outcome::Infra { reason }, 0, 1), None).description;
    assert!(text.starts_with("a b ü"), "{text}");
    assert_eq!(text.chars().count(), MAX_DESCRIPTION);
}

#[test]
fn the_link_leads_to_the_build_or_to_its_claim() {
    let claim: ClaimId = "a".repeat(64).parse().expect("a claim");
    let build: BuildId = "team/builder/dispatch-1766000000-1a2b3c4d".parse().expect("a build");
    let link = |base: &str, build: Option<&BuildId>, key| {
        target_url(&base.parse().expect("a URL"), &claim, build, key).map(String::from)
    };
    assert_eq!(
        link("https://ci.example/sub/", Some(&build), Some("k1")).as_deref(),
        Some("https://ci.example/sub/builds/team%2Fbuilder/dispatch-1766000000-1a2b3c4d?key=k1")
    );
    assert_eq!(
        link("https://ci.example", Some(&build), None).as_deref(),
        Some("https://ci.example/builds/team%2Fbuilder/dispatch-1766000000-1a2b3c4d")
    );
    let address = format!("https://ci.example/builds/claim/{claim}");
    assert_eq!(link("https://ci.example", None, None).as_deref(), Some(address.as_str()));
    assert_eq!(link("https://ci.example", None, Some("k1")), Some(format!("{address}?key=k1")));
}

#[test]
fn an_artifact_that_was_not_kept_is_named_in_place_of_its_exit_code() {
    let told = |exit_code, trouble| {
        let outcome = Outcome::Failure { exit_code, signal: 0 };
        with_trouble(sentence(&outcome, None), &outcome, trouble)
    };
    let trouble = Some("artifact app could not be kept: it is gone");
    assert_eq!(told(74, trouble), "Failed: artifact app could not be kept: it is gone");
    assert_eq!(told(74, None), "Failed with exit 74");
    assert_eq!(told(3, trouble), "Failed with exit 3");
}

/// A list reads the verdict back from what the forge was told.
#[test]
fn what_was_told_of_a_build_that_waits_is_understood_again() {
    let queued = Verdict::Queued { reason: "waiting for resources: memory".to_owned() };
    let unplaceable = Verdict::Unplaceable { reason: "no node: constraint".to_owned() };
    for verdict in [queued, unplaceable, Verdict::Preparing, Verdict::Queued { reason: String::new() }] {
        let mut told = record(Phase::Dispatched);
        told.statuses.intended = Some(status_of(&told, Some(&verdict)));
        assert_eq!(last_told(&told), verdict);
    }
    assert_eq!(last_told(&record(Phase::Dispatched)), Verdict::Queued { reason: String::new() });
}
