//! One follower after another: killed, stopped, or sent home.

use crate::fake::fault::{Fault, Times};
use crate::fake::forge::Status;
use crate::fake::serve::Serve;
use crate::fake::world::World;

const ZERO: &str = "0000000000000000000000000000000000000000";
const X: &str = "1111111111111111111111111111111111111111";

/// A push whose build runs and is reported as running.
async fn running(world: &World, serve: &Serve) -> String {
    world.push(serve, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.forge.wait("running", || world.forge.of(X).iter().any(|one| one.description == "Running")).await;
    build
}

#[tokio::test]
async fn a_final_status_that_arrived_before_the_kill_stays_the_only_one() {
    let world = World::new().await;
    let first = world.serve().await;
    let build = running(&world, &first).await;
    let mut held = world.forge.faults().arm("POST", "/statuses/", Times::Next(1), Fault::HangAfter);
    world.nomad.exit(&build, 0);
    held.hit(1).await;
    first.kill().await;
    world.let_locks_go();
    let _second = world.serve().await;
    world.all_done(1).await;
    assert_eq!(world.final_status(X).state, "success");
}

#[tokio::test]
async fn a_final_status_that_did_not_arrive_before_the_kill_is_posted() {
    let world = World::new().await;
    let first = world.serve().await;
    let build = running(&world, &first).await;
    let mut held = world.forge.faults().arm("POST", "/statuses/", Times::Next(1), Fault::Hang);
    world.nomad.exit(&build, 4);
    held.hit(1).await;
    first.kill().await;
    world.let_locks_go();
    let _second = world.serve().await;
    world.all_done(1).await;
    assert!(world.final_status(X).description.starts_with("Failed with exit 4"));
}

#[tokio::test]
async fn a_stopped_follower_that_goes_on_writes_nothing() {
    let world = World::new().await;
    let first = world.serve().await;
    let build = running(&world, &first).await;
    world.followed().await;
    first.freeze();
    world.let_locks_go();
    let _second = world.serve().await;
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let (statuses, writes) = (world.forge.of(X), world.nomad.writes());
    let before = world.consul.list("albatros-builds/done/");
    first.thaw();
    first.printed.wait("the follower's lock is lost").await;
    first.printed.wait("no longer the follower").await;
    assert_eq!(world.forge.of(X), statuses);
    assert_eq!(world.nomad.writes(), writes);
    assert_eq!(world.consul.list("albatros-builds/done/"), before);
    world.final_status(X);
}

#[tokio::test]
async fn a_late_post_of_a_stopped_follower_is_put_right() {
    let world = World::new().await;
    let first = world.serve().await;
    world.push(&first, "main", ZERO, X).await;
    let build = world.nomad.child("builder", 1).await;
    world.forge.wait_state(X, "pending").await;
    let mut held = world.forge.faults().arm("POST", "/statuses/", Times::Next(1), Fault::Hang);
    world.nomad.run(&build);
    held.hit(1).await;
    first.freeze();
    world.let_locks_go();
    let _second = world.serve().await;
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let last = world.final_status(X);
    // The request of the stopped one arrives only now.
    let (state, description) = ("pending".to_owned(), "Running".to_owned());
    world.forge.post_as_stranger(Status { state, description, ..last.clone() });
    world.forge.wait("the final status once more", || world.forge.of(X).last() == Some(&last)).await;
}

#[tokio::test]
async fn a_server_that_is_sent_home_leaves_nothing_half_said() {
    let world = World::new().await;
    let first = world.serve().await;
    let build = running(&world, &first).await;
    assert_eq!(first.terminate().await, Some(0));
    assert!(world.consul.holder("albatros-builds/lock").is_none());
    let (_, record) = world.open().remove(0);
    assert_eq!(record["statuses"]["intended"], record["statuses"]["confirmed"]);
    world.nomad.exit(&build, 0);
    let _second = world.serve().await;
    world.all_done(1).await;
    assert_eq!(world.final_status(X).state, "success");
}
