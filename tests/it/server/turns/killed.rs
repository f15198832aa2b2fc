//! Two replicas, and `kill -9` at any moment: never more than the limit, nothing forgotten, the order kept.

use futures_util::future::join_all;
use serde_json::json;

use super::{drive, in_order, waits, world};
use crate::fake::delivery::commit;
use crate::fake::fault::{Fault, Times};
use crate::fake::world::World;

#[tokio::test]
async fn another_replica_takes_over_in_the_middle() {
    let world = world(json!({"max": 2})).await;
    let first = world.serve().await;
    world.followed().await;
    let second = world.serve().await;
    for n in 2..10 {
        waits(&world, if n % 2 == 0 { &first } else { &second }, n).await;
    }
    let ends = async {
        world.nomad.child("builder", 3).await;
        first.kill().await;
        world.let_locks_go();
    };
    let (order, ()) = tokio::join!(drive(&world, 8, 2), ends);
    world.all_done(8).await;
    in_order(&order, 2..10, 2);
    assert_eq!(world.nomad.dispatches(), 8);
    drop(second);
}

#[tokio::test]
async fn a_restart_forgets_none() {
    let world = world(json!({"max": 1})).await;
    let first = world.serve().await;
    for n in 2..6 {
        waits(&world, &first, n).await;
    }
    world.nomad.child("builder", 1).await;
    first.kill().await;
    world.let_locks_go();
    let _second = world.serve().await;
    let order = drive(&world, 4, 1).await;
    world.all_done(4).await;
    assert_eq!(order, (2..6).map(commit).collect::<Vec<_>>());
    for n in 2..6 {
        assert_eq!(world.final_status(&commit(n)).state, "success");
    }
}

/// A follower that was stopped and goes on has granted a turn that is no longer its to give.
#[tokio::test]
async fn a_follower_that_was_frozen_lets_nobody_through() {
    let world = world(json!({"max": 1})).await;
    let first = world.serve().await;
    world.followed().await;
    let second = world.serve().await;
    for n in 2..6 {
        waits(&world, &second, n).await;
    }
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    first.freeze();
    world.let_locks_go();
    second.printed.wait("this replica is the follower").await;
    let thaws = async {
        world.nomad.child("builder", 2).await;
        first.thaw();
    };
    let (order, ()) = tokio::join!(drive(&world, 4, 1), thaws);
    world.all_done(4).await;
    assert_eq!(order, (2..6).map(commit).collect::<Vec<_>>());
}

/// The hour within which a change must be dispatched counts from its turn, also for who finds it.
#[tokio::test]
async fn who_has_waited_for_hours_is_dispatched_when_its_turn_comes() {
    let world = world(json!({"max": 1})).await;
    let first = world.serve().await;
    waits(&world, &first, 2).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    let claim = waits(&world, &first, 3).await;
    first.kill().await;
    world.let_locks_go();
    let mut record = world.open().into_iter().find(|(known, _)| *known == claim).unwrap().1;
    let hours_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(3);
    record["created"] = hours_ago.to_string().into();
    world.consul.put(&format!("albatros-builds/open/{claim}"), record.to_string());
    let mut dispatches = world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::Hang);
    let second = world.serve().await;
    world.nomad.exit(&build, 0);
    dispatches.hit(1).await;
    second.kill().await;
    world.nomad.faults().clear();
    world.let_locks_go();
    let _third = world.serve().await;
    let build = world.nomad.child("builder", 2).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(2).await;
    assert_eq!(world.final_status(&commit(3)).state, "success");
}

/// Waits until Consul has been written to so often since, or nothing happens any more.
async fn writes(world: &World, count: u64) {
    let all = world.consul.writes();
    let until = async {
        while world.consul.writes() < all + count {
            world.consul.wire().next_request().await;
        }
    };
    // A quiet server may never come so far; it is then killed in its quiet.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), until).await;
}

/// One build ends, and the server is killed after so many writes from then on: somewhere around the next one's turn.
async fn killed_at(moment: u64) {
    let world = world(json!({"max": 1})).await;
    let first = world.serve().await;
    for n in 2..5 {
        waits(&world, &first, n).await;
    }
    let build = world.nomad.child("builder", 1).await;
    let driven = async {
        world.nomad.run(&build);
        drive(&world, 3, 1).await
    };
    let killed = async {
        writes(&world, moment).await;
        first.kill().await;
        world.let_locks_go();
        world.serve().await
    };
    let (order, _second) = tokio::join!(driven, killed);
    world.all_done(3).await;
    assert_eq!(order, (2..5).map(commit).collect::<Vec<_>>(), "moment {moment}");
    assert_eq!(world.nomad.dispatches(), 3, "moment {moment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_it_was_doing() {
    join_all((1..=12).map(killed_at)).await;
}
