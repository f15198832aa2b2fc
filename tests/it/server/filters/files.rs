//! What the forge has to be asked: the files that a change touches.

use serde_json::json;

use super::{REPO, ZERO, assert_skipped, configure, push, world_with};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::world::{ACTOR, OPEN, SECRET, person};

#[tokio::test]
async fn a_change_that_touches_nothing_wanted_is_not_built_and_one_that_does_is() {
    let world = world_with(&json!({"paths": ["src/**"], "paths_ignore": ["**/*.md"]})).await;
    let serve = world.serve().await;
    let reply = push(&world, &serve, 2, &["README.md", "docs/a.txt"]).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    world.all_done(1).await;
    assert_skipped(&world, 2, "`paths`");
    push(&world, &serve, 3, &["src/a.md"]).await;
    world.all_done(2).await;
    assert_skipped(&world, 3, "`paths_ignore`");
    push(&world, &serve, 4, &["src/a.rs -> old/a.rs"]).await;
    world.nomad.child("builder", 1).await;
    let open = world.open().remove(0).1;
    assert!(open["undecided"].is_null(), "{open}");
    let again = Delivery::push("main", &commit(1), &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!((again.status, again.text.trim_end()), (200, "already built: skipped"));
}

#[tokio::test]
async fn what_the_forge_does_not_know_whole_is_built() {
    let world = world_with(&json!({"paths": ["src/**"]})).await;
    let serve = world.serve().await;
    world.forge.touches(REPO, &commit(2), &["README.md"]);
    // It does not know what the branch held before.
    world.push(&serve, "main", &commit(99), &commit(2)).await;
    world.nomad.child("builder", 1).await;
    // An empty commit, and a branch without commits of its own.
    push(&world, &serve, 3, &[]).await;
    world.nomad.child("builder", 2).await;
    world.push(&serve, "topic", ZERO, &commit(1)).await;
    world.nomad.child("builder", 3).await;
}

#[tokio::test]
async fn a_tag_is_built_whatever_it_touches() {
    let world = world_with(&json!({"paths": ["src/**"], "branches": ["main"]})).await;
    let serve = world.serve().await;
    world.forge.tag(REPO, "v0.1", &commit(1));
    let mut tag = Delivery::recorded("push-tag");
    tag.body["after"] = commit(1).into();
    tag.body["head_commit"]["id"] = commit(1).into();
    let reply = tag.send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    world.nomad.child("builder", 1).await;
}

#[tokio::test]
async fn a_forge_that_is_away_is_asked_again() {
    let world = world_with(&json!({"paths": ["src/**"]})).await;
    let serve = world.serve().await;
    let mut away = world.forge.faults().arm("GET", "/compare/", Times::All, Fault::Text(502, "Bad Gateway"));
    push(&world, &serve, 2, &["README.md"]).await;
    away.hit(2).await;
    let pending = world.forge.wait_state(&commit(2), "pending").await;
    assert_eq!(pending.description, "Waiting for its turn: the forge is to say what it changes");
    assert_eq!(world.nomad.dispatches(), 0);
    world.forge.faults().clear();
    world.all_done(1).await;
    assert_skipped(&world, 2, "`paths`");
}

#[tokio::test]
async fn a_forge_that_will_not_say_keeps_nothing_from_being_built() {
    let world = world_with(&json!({"paths": ["src/**"]})).await;
    let serve = world.serve().await;
    let refused = r#"{"message": "token does not have at least one of required scope(s)"}"#;
    world.forge.faults().arm("GET", "/compare/", Times::All, Fault::Text(403, refused));
    push(&world, &serve, 2, &["README.md"]).await;
    world.nomad.child("builder", 1).await;
    serve.printed.wait("whether it is to be built is not known; it is built").await;
}

#[tokio::test]
async fn a_change_that_has_waited_long_enough_is_built() {
    let world = world_with(&json!({"paths": ["src/**"]})).await;
    let first = world.serve().await;
    let away = Fault::Text(502, "Bad Gateway");
    let mut asked = world.forge.faults().arm("GET", "/compare/", Times::All, away);
    push(&world, &first, 2, &["README.md"]).await;
    asked.hit(1).await;
    first.kill().await;
    let (claim, mut record) = world.open().remove(0);
    record["created"] = (jiff::Timestamp::now() - jiff::SignedDuration::from_mins(25)).to_string().into();
    world.consul.put(&format!("{OPEN}{claim}"), record.to_string());
    world.let_locks_go();
    let _second = world.serve().await;
    world.nomad.child("builder", 1).await;
}

#[tokio::test]
async fn a_server_that_dies_between_claim_and_answer_leaves_the_question_to_the_next_one() {
    let world = world_with(&json!({"paths": ["src/**"]})).await;
    let first = world.serve().await;
    let mut asked = world.forge.faults().arm("GET", "/compare/", Times::All, Fault::Hang);
    push(&world, &first, 2, &["README.md"]).await;
    asked.hit(1).await;
    first.kill().await;
    world.forge.faults().clear();
    world.let_locks_go();
    let _second = world.serve().await;
    world.all_done(1).await;
    assert_skipped(&world, 2, "`paths`");
    assert_eq!(world.nomad.dispatches(), 0);
}

#[tokio::test]
async fn the_configuration_of_the_moment_decides() {
    let world = world_with(&json!({"paths": ["src/**"]})).await;
    let serve = world.serve().await;
    let mut away = world.forge.faults().arm("GET", "/compare/", Times::All, Fault::Text(502, "Bad Gateway"));
    push(&world, &serve, 2, &["README.md"]).await;
    away.hit(1).await;
    configure(&world, &json!({}));
    world.nomad.child("builder", 1).await;
}

#[tokio::test]
async fn a_pull_request_is_judged_by_its_own_files() {
    let world = world_with(&json!({"paths_ignore": ["docs/**"], "pull_requests": "build"})).await;
    let serve = world.serve().await;
    world.forge.pull(REPO, 3, &commit(2), &["docs/a.md"]);
    let reply = Delivery::pull(3, &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    world.all_done(1).await;
    assert_skipped(&world, 2, "`paths_ignore`");
    world.forge.pull(REPO, 4, &commit(3), &["src/a.rs -> docs/a.rs"]);
    Delivery::pull(4, &commit(3)).send(&serve.url, SECRET).await;
    world.nomad.child("builder", 1).await;
}

#[tokio::test]
async fn what_is_held_is_settled_as_soon_as_the_forge_answers() {
    let world = world_with(&json!({"paths": ["src/**"]})).await;
    let serve = world.serve().await;
    let mut away = world.forge.faults().arm("GET", "/files", Times::All, Fault::Text(502, "Bad Gateway"));
    world.forge.pull(REPO, 3, &commit(2), &["README.md"]);
    Delivery::pull(3, &commit(2)).send(&serve.url, SECRET).await;
    away.hit(1).await;
    let pending = world.forge.wait_state(&commit(2), "pending").await;
    assert_eq!(pending.description, "Waiting for approval");
    // Approved meanwhile, it still is what it is.
    let claim = world.open().remove(0).0;
    let approved = person(&serve, "POST", &format!("/builds/claim/{claim}/approve"), Some(ACTOR)).await;
    assert_eq!(approved.status, 202, "{}", approved.text);
    world.forge.faults().clear();
    world.all_done(1).await;
    assert_skipped(&world, 2, "`paths`");
    assert_eq!(world.nomad.dispatches(), 0);
}
