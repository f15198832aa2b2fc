//! What outlasts its limit, and what is taken away by hand.

use crate::fake::delivery::{Delivery, commit};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::{SECRET, World};

async fn pushed(world: &World, serve: &Serve) -> String {
    world.build(serve, "main", &commit(1), &commit(2)).await
}

#[tokio::test]
async fn too_long_in_the_queue_is_stopped_first_and_then_an_error() {
    let world = World::new().await;
    world.set("ALBATROS_QUEUE_LIMIT", "2s");
    let serve = world.serve().await;
    let build = pushed(&world, &serve).await;
    world.nomad.block(&build);
    world.none_open().await;
    assert_eq!(world.nomad.job(&build)["Stop"], true);
    let last = world.final_status(&commit(2));
    assert_eq!(last.state, "error", "{last:?}");
}

#[tokio::test]
async fn why_a_build_waits_is_told() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = pushed(&world, &serve).await;
    world.nomad.block(&build);
    let told = || world.forge.of(&commit(2)).iter().any(|status| status.description.contains("memory"));
    world.forge.wait("it is said to lack memory", told).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
}

#[tokio::test]
async fn longer_than_its_time_limit_is_stopped() {
    let world = World::new().await;
    let mut config = world.config();
    config["timeout"] = "1s".into();
    world.put_config(&config);
    let serve = world.serve().await;
    let build = pushed(&world, &serve).await;
    world.nomad.run(&build);
    world.none_open().await;
    assert_eq!(world.nomad.job(&build)["Stop"], true);
    let last = world.final_status(&commit(2));
    assert!(last.state == "failure" && last.description.starts_with("Timed out after"), "{last:?}");
}

#[tokio::test]
async fn out_of_reach_for_too_long_is_stopped_and_lost() {
    let world = World::new().await;
    world.set("ALBATROS_UNKNOWN_LIMIT", "1s");
    let serve = world.serve().await;
    let build = pushed(&world, &serve).await;
    world.nomad.run(&build);
    world.nomad.disconnect(&build);
    world.nomad.wait("it is stopped", || world.nomad.job(&build)["Stop"] == true).await;
    world.none_open().await;
    assert_eq!(world.final_status(&commit(2)).state, "error");
}

#[tokio::test]
async fn a_node_that_comes_back_in_time_changes_nothing() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = pushed(&world, &serve).await;
    world.nomad.run(&build);
    world.nomad.disconnect(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
    assert_eq!(world.nomad.job(&build)["Stop"], false);
}

#[tokio::test]
async fn a_build_goes_on_when_its_builder_is_stopped() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = pushed(&world, &serve).await;
    world.nomad.run(&build);
    world.nomad.stop_job("builder");
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
    let refused = world.push(&serve, "main", &commit(2), &commit(3)).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(refused.text.contains("stopped"), "{}", refused.text);
    world.none_open().await;
    let told = world.final_status(&commit(3));
    assert!(told.state == "error" && told.description.contains("stopped"), "{told:?}");
    // Once it is repaired, the same delivery builds.
    world.nomad.register(&Builder::plain("builder"));
    let again = Delivery::push("main", &commit(2), &commit(3)).send(&serve.url, SECRET).await;
    assert_eq!(again.status, 200, "{}", again.text);
}

#[tokio::test]
async fn a_build_that_is_purged_by_hand_is_an_error() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = pushed(&world, &serve).await;
    world.nomad.run(&build);
    world.forge.wait_state(&commit(2), "pending").await;
    world.nomad.purge(&build);
    world.none_open().await;
    assert_eq!(world.final_status(&commit(2)).state, "error");
    assert_eq!(world.nomad.dispatches(), 1, "it is not built anew by itself");
}

/// Permanent errors are told by their text, and shown to who pushed.
#[tokio::test]
async fn what_can_never_be_dispatched_is_told_to_who_pushed() {
    let world = World::new().await;
    world.nomad.register(&Builder::plain("wants-more").required(&["REPO_URL", "COMMIT", "BRANCH", "FLAVOR", "COLOUR"]));
    world.nomad.register(&Builder::plain("wants-less").required(&["REPO_URL", "COMMIT"]));
    world.nomad.register(&Builder::plain("no-payload").payload("forbidden"));
    world.nomad.register(&Builder::plain("no-builder").not_parameterized());
    let mut config = world.config();
    let names = ["wants-more", "wants-less", "no-payload", "no-builder", "not-there"];
    config["builders"] = serde_json::json!({"flavors": {}});
    for name in names {
        config["builders"]["flavors"][name] = name.into();
    }
    world.put_config(&config);
    let serve = world.serve().await;
    for (n, (name, word)) in
        (10..).zip(names.into_iter().zip(["COLOUR", "BRANCH", "payload", "parameterized", "not-there"]))
    {
        world.forge.push("quentin/albatros", "main", &commit(n));
        let reply = Delivery::push("main", &commit(1), &commit(n)).flavor(name).send(&serve.url, SECRET).await;
        assert_eq!(reply.status, 422, "{name}: {}", reply.text);
        world.none_open().await;
        let told = world.final_status(&commit(n));
        assert_eq!(told.state, "error", "{name}: {told:?}");
        assert!(told.description.contains(word), "{name}: {told:?}");
    }
    assert_eq!(world.nomad.dispatches(), 0);
}
