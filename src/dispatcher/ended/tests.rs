//! What the copy keeps of a change, and how it is found again.

use jiff::Timestamp;
use serde_json::json;

use super::table::Table;
use super::*;
use crate::domain::id::BuildId;

/// A build as most are: the `n`th of these, claimed in the order of `n`.
fn usual(n: u64) -> (ClaimId, Stored<Done>) {
    let at = |seconds: u64| Timestamp::from_second(i64::try_from(1_766_000_000 + n + seconds).unwrap()).unwrap();
    let done = json!({
        "version": 1, "build": format!("builder/dispatch-{}-{n:08x}", 1_766_000_000 + n),
        "outcome": {"outcome": "success"}, "created": at(0), "let_through": at(1), "started": at(3), "finished": at(60),
        "placed": {"at": at(2), "node": format!("node-{}", n % 20), "allocation": format!("a1b2c3d4-0000-4000-8000-{n:012x}")},
        "repo": format!("https://git.example/team/project-{}.git", n % 50), "ref": format!("refs/heads/branch-{}", n % 7),
        "before": "", "commit": format!("{n:040x}"), "flavor": "default", "event": "push", "private": false,
        "sender": {"login": format!("person-{}", n % 30), "id": n % 30}, "trusted": true, "session": "5".repeat(64),
    });
    let mut done = done;
    done["outcome"] = serde_json::to_value(crate::domain::outcome::Outcome::Success).unwrap();
    // Claims are as good as random; their order is not that of time.
    let claim = format!("{:016x}{n:048x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (claim.parse().unwrap(), Stored { value: serde_json::from_value(done).unwrap(), index: Index(n + 1) })
}

fn filled(count: u64) -> Table {
    let mut table = Table::default();
    let all: Vec<_> = (0..count).map(usual).collect();
    table.fill(&all);
    table.sort();
    table
}

fn indexes(rows: &[Arc<Row>]) -> Vec<u64> {
    rows.iter().map(|row| row.index().0).collect()
}

#[test]
fn a_row_says_of_a_change_what_a_list_shows() {
    let (claim, mut stored) = usual(7);
    let rare = json!({
        "approved": "2026-01-02T03:04:05.123456789Z", "params": {"a": "b"}, "retry_of": usual(3).0, "tests": {"total": 3, "failed": 1, "skipped": 0},
        "trouble": "too large", "parent": {"claim": usual(2).0, "name": "db"}, "jobs": {"lint": usual(1).0},
        "pull_request": 12, "commit": "ab".repeat(32), "private": true, "trusted": false,
    });
    let mut both = serde_json::to_value(&stored.value).unwrap();
    both.as_object_mut().unwrap().extend(rare.as_object().unwrap().clone());
    for done in [stored.value.clone(), serde_json::from_value(both).unwrap()] {
        stored.value = done;
        let row = Row::of(&claim, &stored, &mut super::row::Origins::default()).unwrap();
        let (shown_claim, shown) = row.shown().unwrap();
        let told = Done { session: None, before: String::new(), job_hash: None, ..stored.value.clone() };
        assert_eq!((shown_claim, shown), (claim.clone(), told));
        assert_eq!(row.is_job(), stored.value.parent.is_some());
    }
}

#[test]
fn rows_stand_together_as_they_are_asked_for() {
    let table = filled(700);
    assert_eq!(indexes(table.all()), (1..=700).collect::<Vec<_>>());
    let repo = "https://git.example/team/project-3.git";
    assert_eq!(indexes(table.of_repo(repo)), (0..14).map(|n| n * 50 + 4).collect::<Vec<_>>());
    assert_eq!(indexes(table.of_ref(repo, "refs/heads/branch-3")), [4, 354]);
    assert!(table.of_ref(repo, "refs/heads/branch").is_empty() && table.of_repo("https://git.example/team").is_empty());
    let (claim, stored) = usual(699);
    assert_eq!(table.claim(&claim).unwrap().index(), Index(700));
    assert_eq!(table.build(stored.value.build.as_ref().unwrap()).unwrap().claim(), Some(claim));
    assert!(table.claim(&usual(700).0).is_none());
    assert!(table.is_newer(&usual(699).0, Index(699)) && !table.is_newer(&usual(699).0, Index(701)), "it began again");
    let unknown: BuildId = "builder/dispatch-1-00000000".parse().unwrap();
    assert!(table.build(&unknown).is_none());
    assert_eq!(indexes(table.above(Index(697))), [698, 699, 700]);
    assert!(table.above(Index(700)).is_empty());
}

#[test]
fn what_comes_one_by_one_stands_as_what_was_read_whole() {
    let mut table = Table::default();
    for n in [5, 2, 9, 0, 7, 1, 8, 3, 6, 4] {
        let (claim, stored) = usual(n);
        assert!(table.insert(&claim, &stored).is_some());
        assert!(table.insert(&claim, &stored).is_none(), "known already");
    }
    let whole = filled(10);
    assert_eq!(indexes(table.all()), indexes(whole.all()));
    assert_eq!(indexes(table.above(Index(0))), indexes(whole.above(Index(0))));
    let (claim, mut stored) = usual(4);
    stored.index = Index(99);
    assert!(table.insert(&claim, &stored).is_some(), "written again");
    assert_eq!(table.claim(&claim).unwrap().index(), Index(99));
    table.remove(|row| row.index() < Index(5));
    assert_eq!(indexes(table.all()), [99, 6, 7, 8, 9, 10]);
    assert_eq!((table.len(), table.newest()), (6, Some(Index(99))));
}

/// The figure of the module's documentation.
#[test]
fn a_week_of_ten_thousand_builds_a_day_takes_some_thirty_megabytes() {
    let table = filled(70_000);
    let bytes: usize = table.all().iter().map(|row| row.bytes()).sum();
    let each = bytes / table.len();
    println!("{each} bytes a row, {} MB in all", bytes / 1_000_000);
    assert!((200..450).contains(&each), "{each} bytes a row");
    assert_eq!(table.all().iter().filter(|row| row.repo().ends_with("project-3.git")).count(), 1_400);
}
