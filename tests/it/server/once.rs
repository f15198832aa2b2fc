//! One change, one build.

use std::collections::BTreeSet;

use crate::fake::delivery::{Delivery, commit};
use crate::fake::world::{SECRET, World};

#[tokio::test]
async fn fifty_deliveries_at_once_to_two_servers_make_one_build() {
    let world = World::new().await;
    let (one, two) = (world.serve().await, world.serve().await);
    world.forge.push("quentin/albatros", "main", &commit(2));
    let push = Delivery::push("main", &commit(1), &commit(2));
    let sent = (0..50).map(|n| {
        let (push, url) = (push.clone(), if n % 2 == 0 { one.url.clone() } else { two.url.clone() });
        async move { push.send(&url, SECRET).await }
    });
    let replies = futures_util::future::join_all(sent).await;
    let build = world.nomad.child("builder", 1).await;
    let odd: BTreeSet<_> =
        replies.iter().filter(|reply| !matches!(reply.status, 200 | 202)).map(|reply| reply.text.clone()).collect();
    assert!(odd.is_empty(), "{odd:?}");
    for reply in replies.iter().filter(|reply| reply.status == 200) {
        assert_eq!(reply.text.lines().next(), Some(build.as_str()));
    }
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.nomad.dispatches(), 1);
    assert_eq!(world.final_status(&commit(2)).state, "success");
}

#[tokio::test]
async fn different_changes_at_once_are_built_once_each() {
    let world = World::new().await;
    let (one, two) = (world.serve().await, world.serve().await);
    let sent = (10..30).flat_map(|n| [(n, one.url.clone()), (n, two.url.clone())]).map(|(n, url)| {
        world.forge.push("quentin/albatros", "main", &commit(n));
        async move { Delivery::push("main", &commit(n - 1), &commit(n)).send(&url, SECRET).await }
    });
    let replies = futures_util::future::join_all(sent).await;
    assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 202)), "{replies:?}");
    world.nomad.child("builder", 20).await;
    for build in world.nomad.children("builder") {
        world.nomad.run(&build);
        world.nomad.exit(&build, 0);
    }
    world.all_done(20).await;
    assert_eq!(world.nomad.dispatches(), 20);
    for n in 10..30 {
        assert_eq!(world.final_status(&commit(n)).state, "success");
    }
}

/// Seen: in a race Nomad names children that then do not exist.
#[tokio::test]
async fn a_ghost_is_no_build() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.nomad.ghosts(3);
    let reply = world.push(&serve, "main", &commit(1), &commit(2)).await;
    let build = world.nomad.child("builder", 1).await;
    assert_eq!((reply.status, reply.text.trim_end()), (200, build.as_str()));
}
