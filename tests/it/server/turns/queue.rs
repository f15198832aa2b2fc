//! `queue`: how long a change may wait for its turn, and then for a node.

use serde_json::json;

use super::{configure, waits, world};
use crate::fake::delivery::commit;

#[tokio::test]
async fn who_waits_too_long_for_its_turn_ends_with_an_error_that_says_so() {
    let world = world(json!({"max": 1})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    let first = world.nomad.child("builder", 1).await;
    world.nomad.run(&first);
    configure(&world, json!({"max": 1, "queue": "2s"}));
    waits(&world, &serve, 3).await;
    waits(&world, &serve, 4).await;
    for n in [3, 4] {
        let last = world.forge.wait_state(&commit(n), "error").await;
        assert_eq!(last.description, "waited for its turn longer than the queue limit of 2s");
    }
    world.nomad.exit(&first, 0);
    world.all_done(1).await;
    assert_eq!(world.nomad.dispatches(), 1);
    assert_eq!(world.final_status(&commit(2)).state, "success");
    // It was never built, so the same delivery builds once there is room.
    waits(&world, &serve, 3).await;
    world.nomad.child("builder", 2).await;
}

#[tokio::test]
async fn who_waits_too_long_for_a_node_is_stopped_and_makes_room() {
    let world = world(json!({"max": 1, "queue": "3s"})).await;
    let serve = world.serve().await;
    waits(&world, &serve, 2).await;
    let first = world.nomad.child("builder", 1).await;
    world.nomad.block(&first);
    let last = world.forge.wait_state(&commit(2), "error").await;
    assert!(last.description.contains("queue limit"), "{last:?}");
    assert_eq!(world.nomad.job(&first)["Stop"], true);
    world.all_done(1).await;
    waits(&world, &serve, 3).await;
    let second = world.nomad.child("builder", 2).await;
    world.nomad.run(&second);
    world.nomad.exit(&second, 0);
    world.all_done(2).await;
    assert_eq!(world.final_status(&commit(3)).state, "success");
}
