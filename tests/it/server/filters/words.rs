//! What the delivery alone tells: the commit's message, and the branch.

use serde_json::json;

use super::{REPO, ZERO, assert_skipped, say, saying, trigger, world_with};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::world::{ACTOR, SECRET, person};

#[tokio::test]
async fn a_commit_that_says_so_is_not_built_and_its_check_does_not_hang() {
    let world = world_with(&json!({})).await;
    let serve = world.serve().await;
    let reply = say(&world, &serve, "main", 2, "docs\n\n[Skip CI]\n").await;
    assert_eq!((reply.status, reply.text.trim_end()), (200, "skipped: [skip ci] in the commit's message"));
    world.all_done(1).await;
    assert_skipped(&world, 2, "[skip ci]");
    assert_eq!(world.forge.of(&commit(2))[0].context, "Albatros default");
    let (claim, done) = world.done().remove(0);
    assert_eq!(done["outcome"]["is"], "skipped", "{done}");

    let again = saying("main", 2, "docs\n\n[Skip CI]\n").send(&serve.url, SECRET).await;
    assert_eq!((again.status, again.text.trim_end()), (200, "already built: skipped"));
    let shown = person(&serve, "GET", &format!("/builds/claim/{claim}"), Some(ACTOR)).await;
    assert!(shown.text.contains("[skip ci]"), "{} {}", shown.status, shown.text);
    assert_eq!((world.nomad.dispatches(), world.forge.of(&commit(2)).len()), (0, 1));
}

#[tokio::test]
async fn a_push_to_another_branch_is_not_built() {
    let world = world_with(&json!({"branches": ["main", "release/**"]})).await;
    let serve = world.serve().await;
    let reply = say(&world, &serve, "topic", 2, "x").await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.text.starts_with("skipped: `branches`"), "{}", reply.text);
    world.all_done(1).await;
    assert_skipped(&world, 2, "`branches`");
    world.build(&serve, "release/1/x", ZERO, &commit(3)).await;
}

/// Otherwise a red commit would turn green by being pushed once more under another name.
#[tokio::test]
async fn what_was_found_of_the_same_commit_on_another_branch_stays_in_sight() {
    let world = world_with(&json!({"branches": ["main"]})).await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 3);
    world.all_done(1).await;
    let reply = say(&world, &serve, "topic", 2, "x").await;
    assert!(reply.text.starts_with("skipped: "), "{}", reply.text);
    world.all_done(2).await;
    assert_eq!(world.final_status(&commit(2)).state, "failure");
}

#[tokio::test]
async fn a_server_that_dies_before_the_status_leaves_it_to_the_next_one() {
    let world = world_with(&json!({})).await;
    let first = world.serve().await;
    let mut held = world.forge.faults().arm("POST", "/statuses/", Times::All, Fault::Hang);
    say(&world, &first, "main", 2, "[no ci]").await;
    held.hit(1).await;
    first.kill().await;
    world.forge.faults().clear();
    world.let_locks_go();
    let _second = world.serve().await;
    world.all_done(1).await;
    assert_skipped(&world, 2, "[no ci]");
    assert_eq!(world.nomad.dispatches(), 0);
}

#[tokio::test]
async fn two_replicas_skip_one_change_once() {
    let world = world_with(&json!({})).await;
    let (one, other) = (world.serve().await, world.serve().await);
    world.forge.push(REPO, "main", &commit(2));
    let delivery = saying("main", 2, "[ci skip]");
    let (first, second) = tokio::join!(delivery.send(&one.url, SECRET), delivery.send(&other.url, SECRET));
    for reply in [first, second] {
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert!(reply.text.contains("skipped"), "{}", reply.text);
    }
    world.all_done(1).await;
    assert_skipped(&world, 2, "[ci skip]");
}

#[tokio::test]
async fn what_a_person_starts_is_built_all_the_same() {
    let world = world_with(&json!({"branches": ["main"], "paths": ["src/**"]})).await;
    let serve = world.serve().await;
    world.forge.push(REPO, "topic", &commit(2));
    world.forge.touches(REPO, &commit(2), &["README.md"]);
    let reply = trigger(&serve, "topic", 2).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    world.nomad.child("builder", 1).await;
}

/// The delivery has no message, so the forge is asked; that is before anybody is asked to approve it.
#[tokio::test]
async fn a_pull_request_whose_commit_says_so_waits_for_nobody() {
    let world = world_with(&json!({})).await;
    let serve = world.serve().await;
    world.forge.pull(REPO, 3, &commit(2), &["a"]);
    world.forge.says(REPO, &commit(2), "typo [skip ci]");
    let reply = Delivery::pull(3, &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    world.all_done(1).await;
    assert_skipped(&world, 2, "[skip ci]");
    assert_eq!(world.forge.of(&commit(2))[0].context, "Albatros default (pull request)");
}
