//! Cancelled before it runs: held, waiting for its turn, claimed, queued. What has no build then never gets one.

use serde_json::json;

use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, READER, SECRET, World, person};

/// Cancels by the claim, and sees it end so.
async fn cancels(world: &World, serve: &Serve, claim: &str, n: u64, ended: usize) {
    let path = format!("/builds/claim/{claim}");
    assert_eq!(person(serve, "DELETE", &path, Some(READER)).await.status, 401);
    let cancelled = person(serve, "DELETE", &path, Some(ACTOR)).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    let what = format!("{ended} ended changes");
    world.consul.wait("albatros-builds/", &what, |_| world.done().len() == ended).await;
    let last = world.final_status(&commit(n));
    assert!(last.state == "failure" && last.description.starts_with("Cancelled"), "{last:?}");
    let over = person(serve, "DELETE", &path, Some(ACTOR)).await;
    assert!(over.status == 409 && over.text.contains("it is over: cancelled"), "{} {}", over.status, over.text);
}

/// The claim of a commit's open change.
fn claim_of(world: &World, n: u64) -> String {
    world.open().into_iter().find(|(_, record)| record["commit"] == commit(n)).unwrap().0
}

#[tokio::test]
async fn what_is_held() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.commit("quentin/albatros", &commit(2));
    Delivery::pull(3, &commit(2)).send(&serve.url, SECRET).await;
    cancels(&world, &serve, &claim_of(&world, 2), 2, 1).await;
    assert_eq!(world.nomad.dispatches(), 0);
}

#[tokio::test]
async fn what_waits_for_its_turn() {
    let world = World::new().await;
    let mut config = world.config();
    config["concurrency"] = json!({"max": 1});
    world.put_config(&config);
    let serve = world.serve().await;
    let first = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&first);
    let waits = world.push(&serve, "main", &commit(2), &commit(3)).await;
    assert_eq!(waits.status, 202, "{}", waits.text);
    cancels(&world, &serve, &claim_of(&world, 3), 3, 1).await;
    world.nomad.exit(&first, 0);
    world.all_done(2).await;
    assert_eq!(world.nomad.dispatches(), 1);
}

#[tokio::test]
async fn what_nomad_does_not_take_yet() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::Text(500, "No cluster leader"));
    let accepted = world.push(&serve, "main", &commit(1), &commit(2)).await;
    assert_eq!(accepted.status, 202, "{}", accepted.text);
    cancels(&world, &serve, &claim_of(&world, 2), 2, 1).await;
    world.all_work();
    let next = world.build(&serve, "main", &commit(2), &commit(3)).await;
    assert_eq!((world.nomad.dispatches(), world.nomad.children("builder")), (1, vec![next]));
}

#[tokio::test]
async fn what_is_in_nomad_s_queue() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.block(&build);
    let queued = || world.forge.of(&commit(2)).iter().any(|status| status.description.starts_with("Queued: "));
    world.forge.wait("it is said why it waits", queued).await;
    let list = person(&serve, "GET", "/builds", None).await.text;
    assert!(list.contains("queued"), "{list}");
    cancels(&world, &serve, &claim_of(&world, 2), 2, 1).await;
    assert_eq!(world.nomad.job(&build)["Stop"], true);
}
