//! A follower that is stopped past its lock and goes on.

use crate::fake::delivery::commit;
use crate::fake::fault::{Fault, Times};
use crate::fake::world::World;

#[tokio::test]
async fn it_writes_nothing_more() {
    let world = World::new().await;
    let old = world.serve().await;
    world.followed().await;
    let build = world.build(&old, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    let runs = || world.forge.of(&commit(2)).iter().any(|status| status.description.contains("Running"));
    world.forge.wait("it is said to run", runs).await;
    old.freeze();
    world.let_locks_go();

    let _new = world.serve().await;
    world.followed().await;
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let (before, writes) = (world.forge.statuses(), world.consul.writes());
    old.thaw();
    old.printed.wait("no longer the follower").await;
    assert_eq!(world.forge.statuses(), before);
    assert_eq!(world.consul.writes(), writes, "it wrote nothing");
    assert_eq!(world.final_status(&commit(2)).state, "success");
}

/// The one request that it was already sending may arrive; the final status is right in the end.
#[tokio::test]
async fn what_it_was_sending_does_not_have_the_last_word() {
    let world = World::new().await;
    let old = world.serve().await;
    world.followed().await;
    let build = world.build(&old, "main", &commit(1), &commit(2)).await;
    world.forge.wait_state(&commit(2), "pending").await;
    let mut sending = world.forge.faults().arm("POST", "/statuses/", Times::Next(1), Fault::Hang);
    world.nomad.run(&build);
    sending.hit(1).await;
    old.freeze();
    world.let_locks_go();
    let _new = world.serve().await;
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    // Now the old one's post is let go, and it goes on.
    world.all_work();
    old.thaw();
    old.printed.wait("no longer the follower").await;
    let all = world.forge.of(&commit(2));
    assert_eq!(all.last().map(|status| status.state.as_str()), Some("success"), "{all:#?}");
    assert_eq!(world.nomad.dispatches(), 1);
}
