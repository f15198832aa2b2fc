//! `supersede`: a newer change takes the place of older ones, whatever comes first.

use serde_json::json;

use super::{commit_of, delivered, record_is, waits, world};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, SECRET, World, person};

const NAME: &str = "quentin/albatros";

/// Waits until it has ended for a newer one, and checks what its status says.
async fn gave_way(world: &World, old: u64, new: u64) {
    let last = world.forge.wait_state(&commit(old), "failure").await;
    assert_eq!(last.description, format!("Cancelled by a newer change ({})", &commit(new)[..8]), "{last:?}");
}

/// The commit's build runs and ends green.
async fn is_built(world: &World, n: u64) {
    world.nomad.wait("its build", || !world.nomad.builds_of(&commit(n)).is_empty()).await;
    let build = world.nomad.builds_of(&commit(n)).remove(0);
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    assert_eq!(world.forge.wait_state(&commit(n), "success").await.sha, commit(n));
}

#[tokio::test]
async fn a_running_build_is_stopped_for_a_newer_change() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    let old = world.nomad.child("builder", 1).await;
    world.nomad.run(&old);
    waits(&world, &serve, 3).await;
    gave_way(&world, 2, 3).await;
    assert_eq!(world.nomad.job(&old)["Stop"], true);
    is_built(&world, 3).await;
    world.all_done(2).await;
    world.final_status(&commit(2));
}

/// Seen: ten quick pushes to one branch arrived so.
#[tokio::test]
async fn deliveries_out_of_order_leave_the_newest() {
    for max in [json!({"supersede": true}), json!({"supersede": true, "max": 1})] {
        let world = world(max).await;
        let serve = world.serve().await;
        for n in 10..20 {
            world.forge.push(NAME, "main", &commit(n));
        }
        for n in [0, 4, 5, 6, 1, 7, 8, 9, 2, 3] {
            delivered(&serve, &Delivery::push("main", &commit(9 + n), &commit(10 + n))).await;
        }
        for n in 10..19 {
            gave_way(&world, n, 19).await;
        }
        is_built(&world, 19).await;
        world.all_done(10).await;
    }
}

#[tokio::test]
async fn what_comes_after_the_newest_was_built_is_not_built_any_more() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    world.forge.push(NAME, "main", &commit(2));
    waits(&world, &serve, 3).await;
    is_built(&world, 3).await;
    world.all_done(1).await;
    delivered(&serve, &Delivery::push("main", &commit(1), &commit(2))).await;
    gave_way(&world, 2, 3).await;
    world.all_done(2).await;
    assert_eq!(world.nomad.dispatches(), 1);
}

/// A forge that answers from a copy, or from before the push.
#[tokio::test]
async fn a_head_that_the_change_was_pushed_upon_takes_it_from_nobody() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    is_built(&world, 2).await;
    world.all_done(1).await;
    world.forge.commit(NAME, &commit(3));
    delivered(&serve, &Delivery::push("main", &commit(2), &commit(3))).await;
    is_built(&world, 3).await;
    world.all_done(2).await;
}

/// As long as nobody has told of the newest, what is there is built.
#[tokio::test]
async fn a_newest_that_nobody_has_told_of_stops_nothing() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    world.forge.push(NAME, "main", &commit(2));
    world.forge.push(NAME, "main", &commit(3));
    delivered(&serve, &Delivery::push("main", &commit(1), &commit(2))).await;
    is_built(&world, 2).await;
    world.all_done(1).await;
}

#[tokio::test]
async fn a_forced_push_back_to_an_older_commit_is_the_newest_change() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    world.forge.push(NAME, "main", &commit(2));
    waits(&world, &serve, 3).await;
    world.nomad.child("builder", 1).await;
    world.forge.force_push(NAME, "main", &commit(2));
    delivered(&serve, &Delivery::push("main", &commit(3), &commit(2))).await;
    gave_way(&world, 3, 2).await;
    is_built(&world, 2).await;
    world.all_done(2).await;
}

/// X → Y → X: the second X is built, and Y gives way whenever it comes.
#[tokio::test]
async fn there_and_back_again() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    world.nomad.child("builder", 1).await;
    waits(&world, &serve, 3).await;
    gave_way(&world, 2, 3).await;
    world.nomad.wait("Y's build", || !world.nomad.builds_of(&commit(3)).is_empty()).await;
    world.forge.force_push(NAME, "main", &commit(2));
    delivered(&serve, &Delivery::push("main", &commit(3), &commit(2))).await;
    gave_way(&world, 3, 2).await;
    world.nomad.wait("X's second build", || world.nomad.builds_of(&commit(2)).len() == 2).await;
    let build = world.nomad.children("builder")[2].clone();
    assert_eq!(commit_of(&world, &build), commit(2));
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(3).await;
}

#[tokio::test]
async fn other_branches_and_flavors_and_tags_are_apart() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    world.forge.push(NAME, "other", &commit(3));
    delivered(&serve, &Delivery::push("other", &commit(1), &commit(3))).await;
    world.forge.push(NAME, "main", &commit(4));
    delivered(&serve, &Delivery::push("main", &commit(2), &commit(4)).flavor("big")).await;
    tagged(&world, &serve, 5).await;
    world.nomad.wait("a build of each", || world.nomad.dispatches() == 4).await;
    assert!(world.open().iter().all(|(_, record)| record["stop"].is_null()));
}

async fn tagged(world: &World, serve: &Serve, n: u64) {
    let mut tag = Delivery::recorded("push-tag");
    tag.body["after"] = commit(n).into();
    tag.body["head_commit"]["id"] = commit(n).into();
    world.forge.tag(NAME, "v0.1", &commit(n));
    delivered(serve, &tag).await;
}

#[tokio::test]
async fn a_tag_that_is_set_again_takes_the_place_of_itself() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    tagged(&world, &serve, 2).await;
    world.nomad.child("builder", 1).await;
    tagged(&world, &serve, 3).await;
    gave_way(&world, 2, 3).await;
    is_built(&world, 3).await;
    world.all_done(2).await;
    assert_eq!(world.final_status(&commit(2)).context, "Albatros default (tag)");
}

#[tokio::test]
async fn a_newer_head_of_a_pull_request_takes_the_place_of_the_older() {
    let world = world(json!({"supersede": true})).await;
    let mut config = world.config();
    config["concurrency"] = json!({"supersede": true});
    config["pull_requests"] = "build".into();
    world.put_config(&config);
    let serve = world.serve().await;
    let head = |n: u64| -> &'static str { format!(r#"{{"head":{{"sha":"{}"}}}}"#, commit(n)).leak() };
    world.forge.faults().arm("GET", "/pulls/3", Times::All, Fault::Text(200, head(2)));
    world.forge.commit(NAME, &commit(2));
    delivered(&serve, &Delivery::pull(3, &commit(2))).await;
    world.nomad.child("builder", 1).await;
    world.forge.faults().clear();
    world.forge.faults().arm("GET", "/pulls/3", Times::All, Fault::Text(200, head(3)));
    world.forge.commit(NAME, &commit(3));
    delivered(&serve, &Delivery::pull_pushed(3, &commit(3))).await;
    gave_way(&world, 2, 3).await;
    is_built(&world, 3).await;
    world.all_done(2).await;
}

/// The same commit again: each is asked for, none is newer.
#[tokio::test]
async fn the_same_commit_asked_for_again_stops_nothing() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    world.nomad.child("builder", 1).await;
    for count in [2, 3] {
        triggered(&serve, 2).await;
        world.nomad.child("builder", count).await;
    }
    assert!(world.open().iter().all(|(_, record)| record["stop"].is_null()));
}

async fn triggered(serve: &Serve, n: u64) {
    let wanted = json!({"repo": crate::fake::delivery::REPO, "ref": "refs/heads/main", "commit": commit(n)});
    let request = crate::fake::http::client().post(format!("{}/trigger", serve.url));
    let answer = request.bearer_auth(ACTOR).json(&wanted).send().await.unwrap();
    assert!(matches!(answer.status().as_u16(), 200 | 202), "{}", answer.text().await.unwrap());
}

/// Who asks for an old commit wants to see that one; a push that comes later takes its place as any other's.
#[tokio::test]
async fn an_old_commit_that_a_person_asks_for_is_built_until_there_is_a_newer_push() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    world.forge.push(NAME, "main", &commit(2));
    waits(&world, &serve, 3).await;
    is_built(&world, 3).await;
    world.all_done(1).await;
    triggered(&serve, 2).await;
    world.nomad.child("builder", 2).await;
    waits(&world, &serve, 4).await;
    gave_way(&world, 2, 4).await;
    is_built(&world, 4).await;
    world.all_done(3).await;
}

#[tokio::test]
async fn a_forge_that_is_away_for_a_moment_is_asked_again() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    world.nomad.child("builder", 1).await;
    let mut away = world.forge.faults().arm("GET", "/branches/main", Times::Next(2), Fault::Html(502));
    waits(&world, &serve, 3).await;
    away.hit(2).await;
    gave_way(&world, 2, 3).await;
    is_built(&world, 3).await;
    world.all_done(2).await;
}

/// Who could not be asked about goes on without; the head is asked for again when a change's turn comes.
#[tokio::test]
async fn a_forge_that_does_not_say_what_is_newest_keeps_nobody_from_building() {
    let world = world(json!({"max": 1, "supersede": true})).await;
    let serve = world.serve().await;
    world.forge.push(NAME, "other", &commit(8));
    delivered(&serve, &Delivery::push("other", &commit(1), &commit(8))).await;
    let first = world.nomad.child("builder", 1).await;
    world.nomad.run(&first);
    waits(&world, &serve, 2).await;
    world.forge.wait_state(&commit(2), "pending").await;
    world.forge.faults().arm("GET", "/branches/main", Times::All, Fault::Html(502));
    waits(&world, &serve, 3).await;
    serve.printed.wait("the forge does not say which change is the newest").await;
    world.forge.wait_state(&commit(3), "pending").await;
    assert!(world.open().iter().all(|(_, record)| record["stop"].is_null()));
    world.forge.faults().clear();
    world.nomad.exit(&first, 0);
    gave_way(&world, 2, 3).await;
    is_built(&world, 3).await;
    world.all_done(3).await;
}

/// The server dies when it has stopped one of two older changes; the next one stops the other.
#[tokio::test]
async fn a_kill_between_two_stops_leaves_none_behind() {
    let world = world(json!({"supersede": true})).await;
    let serve = world.serve().await;
    for n in 2..5 {
        world.forge.push(NAME, "main", &commit(n));
    }
    for n in [2, 3] {
        delivered(&serve, &Delivery::push("main", &commit(n - 1), &commit(n))).await;
    }
    world.nomad.wait("both run", || world.nomad.dispatches() == 2).await;
    for n in [2, 3] {
        record_is(&world, &commit(n), "it is dispatched", |record| record["phase"]["is"] == "dispatched").await;
    }
    let mut asked = world.forge.faults().arm("GET", "/branches/main", Times::Next(1), Fault::Hang);
    delivered(&serve, &Delivery::push("main", &commit(3), &commit(4))).await;
    asked.hit(1).await;
    let mut stops = world.consul.faults().arm("PUT", "/v1/txn", Times::All, Fault::HangAfter);
    world.forge.faults().clear();
    stops.hit(1).await;
    serve.kill().await;
    world.consul.faults().clear();
    world.let_locks_go();
    let _next = world.serve().await;
    for n in [2, 3] {
        gave_way(&world, n, 4).await;
    }
    is_built(&world, 4).await;
    world.all_done(3).await;
}

#[tokio::test]
async fn a_held_pull_request_that_is_approved_waits_for_its_turn() {
    let world = world(json!({"max": 1})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    let first = world.nomad.child("builder", 1).await;
    world.forge.commit(NAME, &commit(3));
    let reply = Delivery::pull(3, &commit(3)).send(&serve.url, SECRET).await;
    assert!(reply.text.contains("waiting for approval"), "{}", reply.text);
    let claim = world.open().into_iter().find(|(_, record)| record["commit"] == commit(3)).unwrap().0;
    let approved = person(&serve, "POST", &format!("/builds/claim/{claim}/approve"), Some(ACTOR)).await;
    assert!(approved.text.contains("approved: waiting for its turn"), "{}", approved.text);
    assert_eq!(world.nomad.dispatches(), 1);
    world.nomad.run(&first);
    world.nomad.exit(&first, 0);
    is_built(&world, 3).await;
    world.all_done(2).await;
}
