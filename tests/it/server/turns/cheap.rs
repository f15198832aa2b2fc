//! Many that wait cost nothing while others are built.

use serde_json::json;

use super::{waits, world};
use crate::fake::delivery::commit;

const MANY: u64 = 60;
const BUILT: usize = 6;

#[tokio::test]
async fn a_change_of_the_list_is_not_a_request_for_each_that_waits() {
    let world = world(json!({"max": 1})).await;
    let serve = world.serve().await;
    world.followed().await;
    for n in 2..2 + MANY {
        waits(&world, &serve, n).await;
    }
    let all_told = || (3..2 + MANY).all(|n| !world.forge.of(&commit(n)).is_empty());
    world.forge.wait("all are told that they wait", all_told).await;
    let confirmed = || {
        let open = world.open();
        open.iter().filter(|(_, record)| !record["statuses"]["confirmed"].is_null()).count() as u64
    };
    world.consul.wait("albatros-builds/open/", "all have noted it", |_| confirmed() == MANY).await;
    let (posts, writes) = (world.forge.wire().seen().len(), world.consul.writes());
    for n in 0..BUILT {
        let build = world.nomad.child("builder", n + 1).await;
        world.nomad.run(&build);
        world.nomad.exit(&build, 0);
    }
    world.nomad.child("builder", BUILT + 1).await;
    world.consul.wait("albatros-builds/done/", "they are done", |_| world.done().len() >= BUILT).await;
    // A build has a hand full of statuses and writes; those that wait have none.
    let (posts, writes) = (world.forge.wire().seen().len() - posts, world.consul.writes() - writes);
    assert!(posts <= 10 * BUILT, "{posts} requests to the forge for {BUILT} builds");
    assert!(writes <= 30 * BUILT as u64, "{writes} writes for {BUILT} builds");
}
