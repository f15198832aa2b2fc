//! What the follower makes of one change after another: statuses, limits, errors.

use std::time::Duration;

use serde_json::json;

use crate::fake::delivery::Delivery;
use crate::fake::fault::{Fault, Times};
use crate::fake::nomad::Builder;
use crate::fake::world::{ACTOR, DONE, SECRET, World, person};

const ZERO: &str = "0000000000000000000000000000000000000000";
const X: &str = "1111111111111111111111111111111111111111";

#[tokio::test]
async fn a_build_is_pending_until_it_is_over_and_then_reported_once() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.forge.wait_state(X, "pending").await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 3);
    world.all_done(1).await;
    let last = world.final_status(X);
    assert_eq!((last.state.as_str(), last.context.as_str()), ("failure", "Albatros default"));
    assert!(last.description.starts_with("Failed with exit 3 after "), "{last:?}");
    assert_eq!(last.target_url, format!("https://ci.example/builds/{build}"));
    assert_eq!(world.forge.of(X)[0].state, "pending");
    let (_, done) = world.done().remove(0);
    assert_eq!((&done["outcome"]["is"], &done["build"]), (&json!("failure"), &json!(build)));
}

#[tokio::test]
async fn what_a_dead_server_claimed_and_did_not_dispatch_is_built() {
    let world = World::new().await;
    let first = world.serve().await;
    let mut dispatches = world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::Hang);
    let sent = tokio::spawn({
        let url = first.url.clone();
        async move { Delivery::push("main", ZERO, X).try_send(&url, SECRET).await.is_ok() }
    });
    world.forge.push("quentin/albatros", "main", X);
    dispatches.hit(1).await;
    first.kill().await;
    let _ = sent.await;
    world.nomad.faults().clear();
    world.let_locks_go();
    let _second = world.serve().await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(X).state, "success");
    assert_eq!(world.nomad.dispatches(), 1);
}

#[tokio::test]
async fn a_dispatch_whose_answer_was_lost_is_found_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.nomad.faults().arm("*", "/dispatch", Times::Next(1), Fault::CutAfter);
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(X).state, "success");
    assert_eq!(world.nomad.dispatches(), 1);
}

#[tokio::test]
async fn a_missing_builder_is_an_error_and_a_redelivery_after_the_repair_builds() {
    let world = World::new().await;
    let mut config = world.config();
    config["builders"] = json!({"default": "later"});
    world.put_config(&config);
    let serve = world.serve().await;
    let answer = world.push(&serve, "main", ZERO, X).await;
    assert_eq!(answer.status, 422, "{}", answer.text);
    world.forge.wait_state(X, "error").await;
    world.none_open().await;
    let last = world.final_status(X);
    assert!(last.description.contains("`later`"), "{last:?}");
    assert!(world.done().is_empty());
    world.nomad.register(&Builder::plain("later"));
    world.push(&serve, "main", ZERO, X).await;
    world.nomad.child("later", 1).await;
}

#[tokio::test]
async fn a_builder_that_was_stopped_while_a_change_waited_is_an_error() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut broken = world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::Text(500, "no leader"));
    world.push(&serve, "main", ZERO, X).await;
    broken.hit(1).await;
    world.nomad.stop_job("builder");
    world.nomad.faults().clear();
    world.none_open().await;
    assert_eq!(world.final_status(X).state, "error");
    assert_eq!(world.nomad.dispatches(), 0);
}

#[tokio::test]
async fn a_build_that_was_purged_by_hand_is_an_error() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.forge.wait_state(X, "pending").await;
    world.nomad.purge(&build);
    world.all_done(1).await;
    let last = world.final_status(X);
    assert_eq!((last.state.as_str(), last.description.as_str()), ("error", "Nomad no longer knows this build"));
}

#[tokio::test]
async fn a_build_over_its_time_is_stopped_and_told_by_its_limit() {
    let world = World::new().await;
    let mut config = world.config();
    config["timeout"] = "3s".into();
    world.put_config(&config);
    let serve = world.serve().await;
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.all_done(1).await;
    let last = world.final_status(X);
    assert_eq!((last.state.as_str(), last.description.as_str()), ("failure", "Timed out after 3s"));
    assert_eq!(world.nomad.job(&build)["Stop"], true);
}

#[tokio::test]
async fn a_build_too_long_in_the_queue_is_deregistered_before_the_error() {
    let world = World::new().await;
    world.set("ALBATROS_QUEUE_LIMIT", "3s");
    let serve = world.serve().await;
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.block(&build);
    world.forge.wait_state(X, "error").await;
    assert_eq!(world.nomad.job(&build)["Stop"], true);
    world.all_done(1).await;
    assert!(world.final_status(X).description.contains("queue limit"));
}

#[tokio::test]
async fn a_build_whose_node_stays_away_is_deregistered_and_lost() {
    let world = World::new().await;
    world.set("ALBATROS_UNKNOWN_LIMIT", "3s");
    let serve = world.serve().await;
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.nomad.disconnect(&build);
    world.forge.wait_state(X, "error").await;
    assert_eq!(world.nomad.job(&build)["Stop"], true);
    world.all_done(1).await;
    assert_eq!(world.done()[0].1["outcome"]["is"], "lost");
}

#[tokio::test]
async fn a_cancelled_build_is_stopped_and_says_so() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    let answer = person(&serve, "DELETE", &format!("/builds/{build}"), Some(ACTOR)).await;
    assert!(answer.status < 300, "{}", answer.text);
    world.all_done(1).await;
    let last = world.final_status(X);
    assert_eq!(last.state, "failure");
    assert!(last.description.starts_with("Cancelled by "), "{last:?}");
}

#[tokio::test]
async fn a_final_status_whose_answer_was_lost_is_not_posted_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.forge.wait("running", || world.forge.of(X).iter().any(|one| one.description == "Running")).await;
    world.forge.faults().arm("POST", "/statuses/", Times::Next(1), Fault::CutAfter);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(X).state, "success");
}

#[tokio::test]
async fn a_forge_that_is_down_for_a_while_gets_the_final_status_alone() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut down = world.forge.faults().arm("POST", "/statuses/", Times::All, Fault::Html(502));
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    down.hit(1).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world
        .consul
        .wait("albatros-builds/open/", "an ended change", |_| {
            world.open().iter().any(|(_, record)| record["phase"]["is"] == "ended")
        })
        .await;
    down.hit(2).await;
    world.forge.faults().clear();
    world.all_done(1).await;
    let all = world.forge.of(X);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(world.final_status(X).state, "success");
}

#[tokio::test]
async fn a_forge_that_refuses_for_good_does_not_keep_a_build_from_its_end() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.revoke(crate::fake::world::FORGE);
    let mut config = world.config();
    config["trusted"] = json!({"senders": []});
    world.put_config(&config);
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert!(world.forge.of(X).is_empty());
    let metrics = person(&serve, "GET", "/metrics", None).await.text;
    assert!(metrics.contains("GivenUp\"} ") || metrics.contains("given_up\"} "), "{metrics}");
}

#[tokio::test]
async fn without_a_forge_builds_end_all_the_same() {
    let world = World::new().await;
    let mut config = world.config();
    config.as_object_mut().unwrap().remove("gitea");
    world.put_config(&config);
    let serve = world.serve().await;
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert!(world.forge.statuses().is_empty());
    assert_eq!(world.done()[0].1["outcome"]["is"], "success");
}

#[tokio::test]
async fn a_configuration_that_vanished_means_no_status_and_an_end() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.push(&serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.forge.wait("running", || world.forge.of(X).iter().any(|one| one.description == "Running")).await;
    for (key, _) in world.consul.list("albatros/") {
        world.consul.remove(&key);
    }
    let before = world.forge.of(X).len();
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.forge.of(X).len(), before);
}

#[tokio::test]
async fn a_held_pull_request_waits_and_ends_with_its_closing() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.commit("quentin/albatros", X);
    Delivery::pull(7, X).send(&serve.url, SECRET).await;
    let waiting = world.forge.wait_state(X, "pending").await;
    assert_eq!(waiting.description, "Waiting for approval");
    assert_eq!(waiting.context, "Albatros default (pull request)");
    Delivery::pull_closed(7, X).send(&serve.url, SECRET).await;
    world.all_done(1).await;
    let last = world.final_status(X);
    assert_eq!(last.state, "failure");
    assert!(last.description.starts_with("Cancelled by "), "{last:?}");
    assert_eq!(world.nomad.dispatches(), 0);
}

#[tokio::test]
async fn an_ended_change_is_forgotten_after_a_week() {
    let world = World::new().await;
    let done = |finished: &str| {
        json!({"version": 1, "outcome": {"is": "success"}, "created": finished, "finished": finished, "repo": "r",
            "ref": "refs/heads/main", "before": "", "commit": X, "flavor": "default", "event": "push", "private": false})
    };
    let (old, new) = ("a".repeat(64), "b".repeat(64));
    world.consul.put(&format!("{DONE}{old}"), done("2020-01-01T00:00:00Z").to_string());
    world.consul.put(&format!("{DONE}{new}"), done("2999-01-01T00:00:00Z").to_string());
    let _serve = world.serve().await;
    world.consul.wait(DONE, "the old one gone", |left| left.len() == 1).await;
    assert!(world.consul.get(&format!("{DONE}{new}")).is_some());
}

#[tokio::test]
async fn a_change_that_could_not_be_dispatched_for_an_hour_is_not_run() {
    let world = World::new().await;
    let first = world.serve().await;
    let mut broken = world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::Text(500, "no leader"));
    world.push(&first, "main", ZERO, X).await;
    broken.hit(1).await;
    first.kill().await;
    world.let_locks_go();
    let (claim, mut record) = world.open().remove(0);
    record["created"] = "2026-01-01T00:00:00Z".into();
    world.consul.put(&format!("albatros-builds/open/{claim}"), record.to_string());
    world.nomad.faults().clear();
    let _second = world.serve().await;
    tokio::time::timeout(Duration::from_secs(60), world.none_open()).await.unwrap();
    let last = world.final_status(X);
    assert!(last.description.contains("retry"), "{last:?}");
    assert_eq!(world.nomad.dispatches(), 0);
}
