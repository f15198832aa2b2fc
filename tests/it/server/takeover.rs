//! A server dies at any moment, another goes on.

use futures_util::future::join_all;

use crate::fake::delivery::{Delivery, commit};
use crate::fake::serve::Serve;
use crate::fake::world::{SECRET, World};

/// Requests that have come in at all three services.
fn requests(world: &World) -> usize {
    [world.nomad.wire(), world.consul.wire(), world.forge.wire()].into_iter().map(|wire| wire.seen().len()).sum()
}

/// Waits until so many requests have come in, or all is done.
async fn reaches(world: &World, count: usize) {
    let until = async {
        while requests(world) < count && world.done().is_empty() {
            tokio::select! {
                () = world.nomad.wire().next_request() => {}
                () = world.consul.wire().next_request() => {}
                () = world.forge.wire().next_request() => {}
            }
        }
    };
    // A quiet server may never come so far; it is then killed in its quiet.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), until).await;
}

/// The build is run and ends green as soon as there is one.
async fn drive(world: &World) {
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
}

/// The server is killed when `moment` requests have come in since the delivery; another one finishes.
async fn killed_at(moment: usize) {
    let world = World::new().await;
    let serve = world.serve().await;
    world.followed().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let push = Delivery::push("main", &commit(1), &commit(2));
    let (before, url) = (requests(&world), serve.url.clone());
    let life = async {
        tokio::join!(reaches(&world, before + moment), async {
            // The forge's answer may be lost with the server.
            let _ = push.try_send(&url, SECRET).await;
        });
        serve.kill().await;
        world.let_locks_go();
        let next = world.serve().await;
        // Whoever got no answer, or 503 from a server that has just started, delivers again.
        let mut again = push.send(&next.url, SECRET).await;
        while again.status == 503 {
            again = push.send(&next.url, SECRET).await;
        }
        assert!(matches!(again.status, 200 | 202), "moment {moment}: {} {}", again.status, again.text);
        world.all_done(1).await;
    };
    tokio::join!(drive(&world), life);
    assert_eq!(world.nomad.dispatches(), 1, "moment {moment}");
    assert_eq!(world.final_status(&commit(2)).state, "success", "moment {moment}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_it_was_doing() {
    join_all((1..=20).map(killed_at)).await;
}

async fn follower(world: &World) -> (Serve, Serve) {
    let first = world.serve().await;
    world.followed().await;
    (first, world.serve().await)
}

#[tokio::test]
async fn the_other_replica_goes_on() {
    let world = World::new().await;
    let (first, second) = follower(&world).await;
    let build = world.build(&second, "main", &commit(1), &commit(2)).await;
    world.forge.wait_state(&commit(2), "pending").await;
    first.kill().await;
    world.let_locks_go();
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
    assert_eq!(world.push(&second, "main", &commit(2), &commit(3)).await.status, 200);
}

/// A lock given back in order is taken at once.
#[tokio::test]
async fn a_follower_that_stops_in_order_gives_its_lock_back() {
    let world = World::new().await;
    let (first, second) = follower(&world).await;
    assert_eq!(first.terminate().await, Some(0));
    second.printed.wait("this replica is the follower").await;
}
