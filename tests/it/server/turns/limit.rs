//! `max`: builds of a repository at a time.

use serde_json::json;

use super::{commit_of, configure, drive, in_order, waits, world};
use crate::fake::delivery::commit;
use crate::fake::world::{ACTOR, person};

#[tokio::test]
async fn the_others_wait_and_go_on_in_order() {
    let world = world(json!({"max": 2})).await;
    let serve = world.serve().await;
    for n in 2..8 {
        waits(&world, &serve, n).await;
    }
    let order = drive(&world, 6, 2).await;
    world.all_done(6).await;
    in_order(&order, 2..8, 2);
    for n in 2..8 {
        assert_eq!(world.final_status(&commit(n)).state, "success");
    }
}

#[tokio::test]
async fn why_one_waits_is_said_at_the_forge_and_to_who_asks() {
    let world = world(json!({"max": 1})).await;
    let serve = world.serve().await;
    let mut claims = Vec::new();
    for n in 2..5 {
        claims.push(waits(&world, &serve, n).await);
    }
    world.nomad.child("builder", 1).await;
    let told = || world.forge.of(&commit(4)).iter().any(|one| one.description.contains("1 build of this repository"));
    world.forge.wait("it is told that it waits", told).await;
    assert_eq!(world.forge.of(&commit(4))[0].description, "Waiting for its turn: 1 build of this repository at a time");
    let path = format!("/builds/claim/{}?format=json", claims[2]);
    let shown = person(&serve, "GET", &path, None).await.text;
    assert!(shown.contains("waiting: 1 of 1 build of this repository are under way, 1 change is before it"), "{shown}");
    let list = person(&serve, "GET", "/builds?state=waiting", None).await.text;
    assert_eq!(list.lines().count(), 2, "{list}");
    drive(&world, 3, 1).await;
    world.all_done(3).await;
}

#[tokio::test]
async fn a_change_that_is_cancelled_while_it_waits_is_never_built() {
    let world = world(json!({"max": 1})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    let claim = waits(&world, &serve, 3).await;
    waits(&world, &serve, 4).await;
    let first = world.nomad.child("builder", 1).await;
    assert_eq!(person(&serve, "DELETE", &format!("/builds/claim/{claim}"), Some(ACTOR)).await.status, 202);
    assert_eq!(world.forge.wait_state(&commit(3), "failure").await.description, "Cancelled by a user");
    assert_eq!(world.nomad.dispatches(), 1);
    world.nomad.run(&first);
    world.nomad.exit(&first, 0);
    let second = world.nomad.child("builder", 2).await;
    assert_eq!(commit_of(&world, &second), commit(4));
    world.nomad.run(&second);
    world.nomad.exit(&second, 0);
    world.all_done(3).await;
}

/// Nothing else happens meanwhile, so it is noticed by itself.
#[tokio::test]
async fn a_limit_that_is_raised_lets_more_go_on() {
    let world = world(json!({"max": 1})).await;
    let serve = world.serve().await;
    for n in 2..6 {
        waits(&world, &serve, n).await;
    }
    world.nomad.child("builder", 1).await;
    world.forge.wait_state(&commit(5), "pending").await;
    assert_eq!(world.nomad.dispatches(), 1);
    configure(&world, json!({"max": 3}));
    world.nomad.child("builder", 3).await;
    configure(&world, json!({}));
    world.nomad.child("builder", 4).await;
    let order = drive(&world, 4, 4).await;
    in_order(&order, 2..6, 3);
    world.all_done(4).await;
}

/// What was let through before counts, however it came there.
#[tokio::test]
async fn a_limit_that_is_new_counts_what_is_under_way() {
    let world = world(json!({})).await;
    let serve = world.serve().await;
    let first = world.build(&serve, "main", &commit(1), &commit(2)).await;
    configure(&world, json!({"max": 1}));
    waits(&world, &serve, 3).await;
    world.forge.wait_state(&commit(3), "pending").await;
    assert_eq!(world.nomad.dispatches(), 1);
    world.nomad.run(&first);
    world.nomad.exit(&first, 0);
    let second = world.nomad.child("builder", 2).await;
    world.nomad.run(&second);
    world.nomad.exit(&second, 3);
    world.all_done(2).await;
}

/// Once it is its turn it does not wait as long as one that another replica may be dispatching.
#[tokio::test]
async fn a_change_whose_builder_is_missing_makes_room() {
    let world = world(json!({"max": 1})).await;
    let mut config = world.config();
    config["concurrency"] = json!({"max": 1});
    config["builders"] = json!({"default": "later"});
    world.put_config(&config);
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    waits(&world, &serve, 3).await;
    for n in [2, 3] {
        let last = world.forge.wait_state(&commit(n), "error").await;
        assert!(last.description.contains("`later`"), "{last:?}");
    }
    world.none_open().await;
}

#[tokio::test]
async fn other_repositories_wait_for_nobody() {
    let world = world(json!({"max": 1})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    waits(&world, &serve, 3).await;
    let other = "http://127.0.0.1:3300/quentin/other.git";
    let mut config = world.config();
    config["concurrency"] = json!({"max": 1});
    world.consul.put_repo("albatros", other, &config);
    world.forge.push("quentin/other", "main", &commit(9));
    let delivery = crate::fake::delivery::Delivery::push("main", &commit(8), &commit(9)).repo(other);
    super::delivered(&serve, &delivery).await;
    world.nomad.wait("its build", || !world.nomad.builds_of(&commit(9)).is_empty()).await;
    assert_eq!(world.nomad.dispatches(), 2);
}
