//! `kill -9` at every moment that matters, then a new server: nothing lost, nothing double.

use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Armed, Fault, Times};
use crate::fake::serve::Serve;
use crate::fake::world::{DONE, SECRET, World};

/// A delivery is on its way and the server dies at the armed moment; the connection may break.
async fn dies_at(world: &World, serve: Serve, mut moment: Armed) {
    world.forge.push("quentin/albatros", "main", &commit(2));
    let url = serve.url.clone();
    let sent = tokio::spawn(async move { Delivery::push("main", &commit(1), &commit(2)).try_send(&url, SECRET).await });
    moment.hit(1).await;
    serve.kill().await;
    let _ = sent.await.unwrap();
    world.all_work();
    world.let_locks_go();
}

/// A new server finishes it: one build, one final status.
async fn is_finished(world: &World) {
    let _serve = world.serve().await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.nomad.dispatches(), 1);
    assert_eq!(world.final_status(&commit(2)).state, "success");
    assert_eq!(world.done()[0].1["build"], build);
}

#[tokio::test]
async fn between_claim_and_dispatch() {
    let world = World::new().await;
    let serve = world.serve().await;
    let moment = world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::Hang);
    dies_at(&world, serve, moment).await;
    assert_eq!(world.nomad.dispatches(), 0);
    assert_eq!(world.open().len(), 1);
    is_finished(&world).await;
}

#[tokio::test]
async fn between_dispatch_and_its_answer() {
    let world = World::new().await;
    let serve = world.serve().await;
    let moment = world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::HangAfter);
    dies_at(&world, serve, moment).await;
    assert_eq!(world.nomad.dispatches(), 1);
    is_finished(&world).await;
}

#[tokio::test]
async fn between_the_childs_check_and_its_record() {
    let world = World::new().await;
    let serve = world.serve().await;
    let moment = world.nomad.faults().arm("GET", "/v1/job/builder%2Fdispatch-", Times::All, Fault::Hang);
    dies_at(&world, serve, moment).await;
    assert_eq!(world.nomad.dispatches(), 1);
    is_finished(&world).await;
}

/// A running build whose first statuses have arrived.
async fn running(world: &World, serve: &Serve) -> String {
    let build = world.build(serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    let runs = || world.forge.of(&commit(2)).iter().any(|status| status.description.contains("Running"));
    world.forge.wait("it is said to run", runs).await;
    build
}

async fn ends_while(world: &World, serve: Serve, build: &str, mut moment: Armed) {
    world.nomad.exit(build, 0);
    moment.hit(1).await;
    serve.kill().await;
    world.all_work();
    world.let_locks_go();
}

async fn is_reported_once(world: &World) {
    let _serve = world.serve().await;
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
    assert_eq!(world.nomad.dispatches(), 1);
}

#[tokio::test]
async fn before_the_final_status() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let moment = world.forge.faults().arm("POST", "/statuses/", Times::All, Fault::Hang);
    ends_while(&world, serve, &build, moment).await;
    is_reported_once(&world).await;
}

#[tokio::test]
async fn after_the_final_status_before_its_answer() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let moment = world.forge.faults().arm("POST", "/statuses/", Times::All, Fault::HangAfter);
    ends_while(&world, serve, &build, moment).await;
    assert_eq!(world.final_status(&commit(2)).state, "success", "it had arrived");
    is_reported_once(&world).await;
}

#[tokio::test]
async fn before_the_end_is_written() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let moment = world.consul.faults().arm("PUT", "/v1/txn", Times::All, Fault::Hang);
    ends_while(&world, serve, &build, moment).await;
    assert!(world.consul.list(DONE).is_empty());
    is_reported_once(&world).await;
}

/// The end is written, its answer is not read any more.
#[tokio::test]
async fn after_the_end_is_written() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let moment = world.consul.faults().arm("PUT", "/v1/txn", Times::All, Fault::HangAfter);
    ends_while(&world, serve, &build, moment).await;
    is_reported_once(&world).await;
}

#[tokio::test]
async fn while_nobody_was_there_a_build_ended() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    serve.kill().await;
    world.nomad.exit(&build, 3);
    world.let_locks_go();
    let _serve = world.serve().await;
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "failure");
}
