//! Whose turn it is.

use proptest::prelude::*;

use super::*;

fn claim(n: usize) -> ClaimId {
    format!("{n:064x}").parse().unwrap()
}

/// A record of a phase (`waiting`, `claimed`, …), claimed at this second.
fn record(phase: &str, created: i64) -> Record {
    let phase = match phase {
        "ended" => serde_json::json!({"is": "ended", "outcome": {"is": "success"}}),
        phase => serde_json::json!({"is": phase}),
    };
    serde_json::from_value(serde_json::json!({
        "version": 1, "nonce": "n", "repo": "http://git.example/a/b", "canonical": "http://git.example/a/b",
        "ref": "refs/heads/main", "branch": "main", "before": "", "commit": "1".repeat(40), "flavor": "default",
        "event": "push", "sender": {"login": "quentin"}, "trusted": false, "private": false,
        "builder": "builder", "namespace": "ci", "meta": {}, "phase": phase,
        "created": Timestamp::from_second(1_766_000_000 + created).unwrap().to_string(),
    }))
    .unwrap()
}

fn open(records: impl IntoIterator<Item = Record>) -> Vec<(ClaimId, Record)> {
    records.into_iter().enumerate().map(|(n, record)| (claim(n), record)).collect()
}

fn lines(open: &[(ClaimId, Record)]) -> Lines<'_> {
    Lines::of(open.iter().map(|(claim, record)| (claim, record)))
}

fn turns<'a>(lines: &Lines<'a>, max: Option<u32>) -> Turns<'a> {
    let mut all = lines.with_waiting();
    let line = all.next().unwrap();
    assert!(all.next().is_none());
    line.turns(max, |_| Standing::Ready)
}

#[test]
fn the_oldest_goes_first_and_equals_go_by_their_claim() {
    let open = open([record("waiting", 5), record("waiting", 3), record("waiting", 5), record("waiting", 9)]);
    let lines = lines(&open);
    let told = turns(&lines, Some(3));
    assert_eq!(told.go, [&claim(1), &claim(0), &claim(2)]);
    assert_eq!(told.wait, [&claim(3)]);
    assert_eq!(turns(&lines, None).go.len(), 4);
}

#[test]
fn who_was_approved_stands_in_line_since_then() {
    let approved = Record { approved: Some(record("held", 7).created), ..record("waiting", 0) };
    let open = open([approved, record("waiting", 6)]);
    assert_eq!(turns(&lines(&open), Some(1)).go, [&claim(1)]);
}

#[test]
fn what_is_claimed_or_dispatched_is_under_way_and_nothing_else() {
    let job = serde_json::json!({"claim": claim(9), "name": "tests"});
    let job = Record { parent: Some(serde_json::from_value(job).unwrap()), ..record("dispatched", 0) };
    let stopped = serde_json::json!({"why": "cancel", "by": "a user", "at": "2026-11-21T00:00:00Z"});
    let stopped = Record { stop: Some(serde_json::from_value(stopped).unwrap()), ..record("waiting", 0) };
    let other = Record { canonical: "http://git.example/a/c".to_owned(), ..record("claimed", 0) };
    let open = open([record("held", 0), record("ended", 0), job, stopped, other, record("waiting", 1)]);
    let lines = lines(&open);
    assert_eq!(turns(&lines, Some(1)).go, [&claim(5)]);
    for phase in ["claimed", "dispatched"] {
        let with_one: Vec<_> = open.iter().cloned().chain([(claim(7), record(phase, 0))]).collect();
        assert_eq!(turns(&self::lines(&with_one), Some(1)).wait, [&claim(5)], "{phase}");
    }
}

#[test]
fn a_place_is_kept_for_who_is_not_decided_yet_unless_that_takes_long() {
    let open = open([record("waiting", 0), record("waiting", 1)]);
    let lines = lines(&open);
    let line = lines.with_waiting().next().unwrap();
    let with = |first: Standing| {
        let first_of = move |of: &ClaimId| if *of == claim(0) { first } else { Standing::Ready };
        line.turns(Some(1), first_of)
    };
    assert_eq!(with(Standing::Deciding), Turns { go: vec![], wait: vec![&open[1].0] });
    assert_eq!(with(Standing::Granted), Turns { go: vec![], wait: vec![&open[1].0] });
    assert_eq!(with(Standing::Stuck), Turns { go: vec![&open[1].0], wait: vec![] });
}

#[test]
fn why_one_waits_is_said_with_its_place() {
    let all = ["dispatched", "claimed", "waiting", "waiting", "waiting"].map(|phase| record(phase, 0));
    let open = open(all);
    let lines = lines(&open);
    let why = |n: usize, max| lines.why(&claim(n), &open[n].1, max);
    assert_eq!(why(2, Some(2)), "2 of 2 builds of this repository are under way");
    assert_eq!(why(3, Some(2)), "2 of 2 builds of this repository are under way, 1 change is before it");
    assert_eq!(why(4, Some(2)), "2 of 2 builds of this repository are under way, 2 changes are before it");
    assert_eq!(why(4, None), "");
    assert_eq!(why(0, Some(2)), "", "it does not wait");
}

fn standings() -> impl Strategy<Value = Vec<(i64, Standing)>> {
    let standing = prop_oneof![
        Just(Standing::Deciding),
        Just(Standing::Stuck),
        Just(Standing::Ready),
        Just(Standing::Ready),
        Just(Standing::Granted)
    ];
    proptest::collection::vec((0..20_i64, standing), 1..30)
}

proptest! {
    #[test]
    fn never_more_than_the_most_and_never_out_of_order(waiting in standings(), under_way in 0..6_usize, max in 1..6_u32) {
        let all = waiting.iter().map(|(created, _)| record("waiting", *created));
        let open = open(all.chain(std::iter::repeat_n(record("dispatched", 0), under_way)));
        let of = |one: &ClaimId| waiting[open.iter().position(|(claim, _)| claim == one).unwrap()];
        let lines = lines(&open);
        let turns = lines.with_waiting().next().unwrap().turns(Some(max), |claim| of(claim).1);
        let granted = waiting.iter().filter(|(_, standing)| *standing == Standing::Granted).count();
        prop_assert!(turns.go.is_empty() || turns.go.len() + granted + under_way <= max as usize);
        prop_assert!(turns.go.iter().chain(&turns.wait).all(|claim| of(claim).1 == Standing::Ready));
        let last = turns.go.last().map(|claim| (of(claim).0, *claim));
        let first = turns.wait.first().map(|claim| (of(claim).0, *claim));
        prop_assert!(last.zip(first).is_none_or(|(last, first)| last < first));
        // Nobody waits beside an empty place.
        let deciding = waiting.iter().filter(|(_, standing)| *standing == Standing::Deciding).count();
        let taken = turns.go.len() + granted + under_way + deciding;
        prop_assert!(turns.wait.is_empty() || taken >= max as usize);
    }
}
