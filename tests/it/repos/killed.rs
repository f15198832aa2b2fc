//! Services that are down, processes that die in the middle, and two operators at once.

use super::{Place, key};
use crate::fake::delivery::REPO;
use crate::fake::fault::{Fault, Times};
use crate::fake::wire::PATIENCE;

#[tokio::test]
async fn killed_between_entry_and_webhook_it_goes_on_when_it_is_run_again() {
    let (place, _serve) = Place::with_server().await;
    let mut hangs = place.world.forge.faults().arm("POST", "/hooks", Times::Next(1), Fault::Hang);
    let mut first = place.starts(&place.add(&["--trusted", "quentin"]));
    hangs.hit(1).await;
    first.kill().await.unwrap();
    let before = place.entry();
    assert!(place.world.forge.hooks().is_empty());
    place.world.all_work();
    place.run(&place.add(&["--trusted", "quentin"])).await.ends(0, "entry      as it was");
    assert_eq!(place.entry(), before);
    let [hook] = place.world.forge.hooks().try_into().unwrap();
    assert_eq!(hook.secret, place.secret());
}

#[tokio::test]
async fn killed_between_the_new_webhook_and_the_old_one_s_end_it_leaves_one_in_the_end() {
    let (place, _serve) = Place::with_server().await;
    place.run(&place.add(&[])).await.ends(0, "");
    let mut hangs = place.world.forge.faults().arm("DELETE", "/hooks", Times::Next(1), Fault::Hang);
    let mut second = place.starts(&place.add(&[]));
    hangs.hit(1).await;
    second.kill().await.unwrap();
    place.world.all_work();
    assert_eq!(place.world.forge.hooks().len(), 2, "at no moment there was none");
    assert_eq!(place.runs(&["check", REPO, "--json"]).await.found(), ["webhook-double"]);
    place.run(&place.add(&[])).await.ends(0, "");
    assert_eq!(place.world.forge.hooks().len(), 1);
}

#[tokio::test]
async fn two_operators_at_once_leave_one_entry_and_webhooks_that_are_signed_with_its_secret() {
    let (place, _serve) = Place::with_server().await;
    let all = [place.add(&[]), place.add(&["--trusted", "lx"])].map(|verb| place.starts(&verb));
    let mut codes = Vec::new();
    for child in all {
        let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        codes.push(ended.status.code().unwrap());
    }
    assert!(codes.contains(&0) && codes.iter().all(|code| [0, 1, 2].contains(code)), "{codes:?}");
    assert_eq!(place.entry().0, key(REPO));
    let hooks = place.world.forge.hooks();
    assert!(!hooks.is_empty() && hooks.iter().all(|hook| hook.secret == place.secret()), "{hooks:?}");
}

#[tokio::test]
async fn an_entry_that_was_changed_meanwhile_is_not_overwritten() {
    let (place, _serve) = Place::with_server().await;
    let mut slow = place.world.forge.faults().arm("GET", "/users/quentin", Times::Next(1), Fault::Hang);
    let first = place.starts(&place.add(&["--trusted", "quentin"]));
    slow.hit(1).await;
    place.world.consul.put(&key(REPO), r#"{"hook":{"secret":"of-somebody-else-hidden"}}"#);
    place.world.all_work();
    let ended = tokio::time::timeout(PATIENCE, first.wait_with_output()).await.unwrap().unwrap();
    // The forge's answer was lost: it is said, and nothing is written.
    assert!([1, 3].contains(&ended.status.code().unwrap()), "{ended:?}");
    assert_eq!(place.secret(), "of-somebody-else-hidden");
    assert!(place.world.forge.hooks().is_empty());
}

#[tokio::test]
async fn a_lost_answer_of_consul_is_settled_by_reading() {
    let (place, _serve) = Place::with_server().await;
    place.world.consul.faults().arm("PUT", "/v1/txn", Times::Next(1), Fault::CutAfter);
    place.run(&place.add(&[])).await.ends(0, "entry      written");
    assert_eq!(place.world.forge.hooks().len(), 1);
    // Another one wins between reading and writing.
    place.world.consul.remove(&key(REPO));
    place.world.consul.faults().arm("PUT", "/v1/txn", Times::Next(1), Fault::CutBefore);
    place.run(&place.add(&[])).await.ends(3, "");
    assert!(place.world.consul.list("albatros/").is_empty());
}

#[tokio::test]
async fn what_is_down_is_said_and_nothing_is_half_done() {
    let (place, _serve) = Place::with_server().await;
    place.world.forge.wire().down(true);
    place.run(&place.add(&[])).await.ends(3, "nothing is written");
    assert!(place.world.consul.list("albatros/").is_empty());
    place.world.forge.wire().down(false);
    place.run(&place.add(&["--trusted", "quentin"])).await.ends(0, "");
    place.world.forge.wire().down(true);
    place.runs(&["check", REPO]).await.ends(3, "[forge-unreachable]");
    place.world.forge.wire().down(false);
    place.world.consul.wire().down(true);
    for verb in [vec!["list"], vec!["show", REPO], vec!["check", "--all"], vec!["remove", REPO, "--yes"]] {
        place.runs(&verb).await.ends(3, "the registry cannot be reached");
    }
    place.run(&place.add(&[])).await.ends(3, "the registry cannot be reached");
    place.world.consul.wire().down(false);
    place.runs(&["check", REPO]).await.ends(0, "all is well");
}
