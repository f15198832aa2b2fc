//! What is written of ended changes, and how it is found again.

use std::collections::HashSet;

use jiff::Timestamp;
use serde_json::json;

use super::find::{Seen, list_in};
use super::keep::{read, write};
use crate::api::store::Store;
use crate::domain::history::{Home, Story};
use crate::domain::id::ClaimId;
use crate::domain::outcome::Outcome;
use crate::domain::place::{self, Green, RepoPlace, Trust};
use crate::domain::record::{Done, VERSION};

pub(super) const REPO: &str = "https://git.example/o/r";
const REF: &str = "refs/heads/main";

/// The change that was claimed `n` seconds after another.
pub(super) fn done(n: i64, outcome: Outcome) -> (ClaimId, Done) {
    let claim = format!("{n:064x}").parse().unwrap();
    let at = |n| Timestamp::from_second(n).unwrap();
    let done = json!({
        "version": VERSION, "build": format!("builder/dispatch-{n}-{n:08x}"), "outcome": outcome, "created": at(n),
        "finished": at(n + 10), "repo": REPO, "ref": REF, "before": "", "flavor": "default", "event": "push",
        "commit": "0123456789012345678901234567890123456789", "private": false, "trusted": true, "session": "hash",
    });
    (claim, serde_json::from_value(done).unwrap())
}

fn home(claim: &ClaimId) -> Home {
    Home { repo: RepoPlace::of(REPO).hash().clone(), claim: claim.clone(), own: claim.clone() }
}

pub(super) async fn kept(store: &Store, (claim, done): &(ClaimId, Done)) {
    write(store, &home(claim), &Story::of(claim, done, None)).await.unwrap();
}

async fn green(store: &Store, trust: Trust) -> Option<ClaimId> {
    let key = RepoPlace::of(REPO).green(trust, REF, &"default".parse().unwrap());
    read::<Green>(store, &key).await.unwrap().map(|green| green.claim)
}

#[tokio::test]
async fn a_list_is_newest_first_and_leaves_out_what_is_known() {
    let store = Store::memory();
    for n in [3, 1, 4, 2, 5] {
        kept(&store, &done(n, Outcome::Success)).await;
    }
    let list = async |before: Option<i64>, known: &[i64], most| {
        let known: HashSet<ClaimId> = known.iter().map(|n| done(*n, Outcome::Success).0).collect();
        let before = before.map(|n| Timestamp::from_second(n).unwrap());
        let known = Seen { count: known.len(), has: &|claim| known.contains(claim) };
        let list = list_in(&store, before, known, most, |story| story.done.created.as_second() != 2).await.unwrap();
        list.iter().map(|story| story.done.created.as_second()).collect::<Vec<_>>()
    };
    assert_eq!(list(None, &[], 9).await, [5, 4, 3, 1]);
    assert_eq!(list(None, &[5, 1], 9).await, [4, 3]);
    assert_eq!(list(Some(4), &[], 9).await, [3, 1]);
    assert_eq!(list(None, &[], 2).await, [5, 4]);
}

#[tokio::test]
async fn a_build_is_found_by_its_id_and_by_its_claim_and_its_session_is_forgotten() {
    let store = Store::memory();
    let one = done(7, Outcome::Expired);
    kept(&store, &one).await;
    kept(&store, &one).await;
    let build = one.1.build.clone().unwrap();
    for key in [place::index(&build), place::index_of_claim(&one.0)] {
        let home: Home = read(&store, &key).await.unwrap().unwrap();
        let story: Story = read(&store, &home.place().record(&home.own)).await.unwrap().unwrap();
        assert_eq!((story.done.build.as_ref(), story.done.session), (Some(&build), None));
    }
}

#[tokio::test]
async fn the_newest_green_build_is_remembered_by_its_trust() {
    let store = Store::memory();
    kept(&store, &done(2, Outcome::Success)).await;
    kept(&store, &done(1, Outcome::Success)).await;
    kept(&store, &done(3, Outcome::Expired)).await;
    let mut pull = done(4, Outcome::Success);
    pull.1.pull_request = Some(1);
    kept(&store, &pull).await;
    assert_eq!(green(&store, Trust::Trusted).await, Some(done(2, Outcome::Success).0));
    assert_eq!(green(&store, Trust::Untrusted).await, None);
    let mut stranger = done(5, Outcome::Success);
    stranger.1.trusted = false;
    kept(&store, &stranger).await;
    assert_eq!(green(&store, Trust::Untrusted).await, Some(stranger.0));
    assert_eq!(green(&store, Trust::Trusted).await, Some(done(2, Outcome::Success).0));
}
