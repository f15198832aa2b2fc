//! The same change again: a redelivery is not built again, going back is.

use crate::fake::delivery::{Delivery, commit};
use crate::fake::serve::Serve;
use crate::fake::world::{SECRET, World};

async fn built(world: &World, serve: &Serve, before: u64, after: u64) -> String {
    let build = world.build(serve, "main", &commit(before), &commit(after)).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.none_open().await;
    build
}

#[tokio::test]
async fn going_back_builds_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    let first = built(&world, &serve, 1, 2).await;
    built(&world, &serve, 2, 3).await;
    let back = built(&world, &serve, 3, 2).await;
    assert_ne!(first, back);
    assert_eq!(world.nomad.dispatches(), 3);
    world.all_done(3).await;
    let finals = world.forge.of(&commit(2)).into_iter().filter(|status| status.state == "success").count();
    assert_eq!(finals, 2, "one for each build");
}

#[tokio::test]
async fn a_redelivery_is_answered_with_what_was_built() {
    let world = World::new().await;
    let serve = world.serve().await;
    let running = world.push(&serve, "main", &commit(1), &commit(2)).await;
    let again = Delivery::push("main", &commit(1), &commit(2));
    assert_eq!(again.send(&serve.url, SECRET).await.text, running.text, "while it runs");
    let build = running.text.trim_end().to_owned();
    world.nomad.run(&build);
    world.nomad.exit(&build, 3);
    world.all_done(1).await;

    let ended = again.send(&serve.url, SECRET).await;
    assert_eq!((ended.status, ended.text.as_str()), (200, format!("{build}\nalready built: failure\n").as_str()));
    world.nomad.purge(&build);
    assert_eq!(again.send(&serve.url, SECRET).await.text, ended.text, "after Nomad has collected it");
    serve.terminate().await;
    world.let_locks_go();
    let other = world.serve().await;
    assert_eq!(again.send(&other.url, SECRET).await.text, ended.text, "from another server");
    assert_eq!(world.nomad.dispatches(), 1);
    assert_eq!(world.final_status(&commit(2)).state, "failure");
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_ends_in_order() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.forge.wait_state(&commit(2), "pending").await;
    assert_eq!(serve.terminate().await, Some(0));
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    let _next = world.serve().await;
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
}
