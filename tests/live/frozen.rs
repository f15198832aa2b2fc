//! A follower that is stopped for longer than its lock lives (SIGSTOP) does no harm when it goes on.

use std::time::Duration;

use crate::fake::delivery::commit;
use crate::fake::fault::{Fault, Times};
use crate::story::{Story, until};

const NONE: &str = "0000000000000000000000000000000000000000";
/// How late a status arrives that was on its way when its sender was stopped: after its successor's final one.
const LATE: Duration = Duration::from_secs(45);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_follower_writes_nothing_and_what_it_was_sending_is_put_right() {
    tokio::join!(on_its_way(), between_posts());
}

/// The follower is stopped while a pending status is on its way, which arrives after its successor's final one.
async fn on_its_way() {
    let Some(story) = Story::begin("frozen-sending").await else { return };
    let old = story.serve().await;
    let session = story.followed(None).await;
    let new = story.serve().await;
    let sha = commit(0x81);
    let mut armed = story.forge.faults().arm("POST", "/statuses/", Times::Next(1), Fault::Slow(LATE));
    story.push(&new, "main", NONE, &sha).await;
    armed.hit(1).await;
    old.freeze();
    story.followed(Some(&session)).await;
    story.final_of(&sha).await;

    let late = || async { story.forge.of(&sha).iter().any(|status| status.state == "pending").then_some(()) };
    until("the late status", late).await;
    old.thaw();
    let again = || async { (story.forge.of(&sha).last().unwrap().state == "success").then_some(()) };
    until("the final status to be the newest again", again).await;
    old.printed.wait("this replica is no longer the follower").await;

    let all = story.forge.of(&sha);
    let states: Vec<&str> = all.iter().map(|status| status.state.as_str()).collect();
    let final_at = states.iter().position(|state| *state == "success").unwrap();
    let after = &states[final_at..];
    assert_eq!(after, ["success", "pending", "success"], "{all:#?}");
    assert_eq!((story.all_done().await.len(), story.children().await.len()), (1, 1));
    story.tell(&format!("stopped while it sent: {:?}", all.iter().map(|it| &it.description).collect::<Vec<_>>()));
}

/// The follower is stopped while it only waits, and goes on before the build has ended.
async fn between_posts() {
    let Some(story) = Story::begin("frozen-waiting").await else { return };
    let old = story.serve().await;
    let session = story.followed(None).await;
    let new = story.serve().await;
    let sha = commit(0x82);
    story.push(&old, "gate", NONE, &sha).await;
    let running = || story.forge.of(&sha).iter().any(|status| status.description == "Running");
    story.forge.wait("the build to run", running).await;
    old.freeze();
    story.followed(Some(&session)).await;
    story.open_gate("gate");
    old.thaw();
    old.printed.wait("this replica is no longer the follower").await;
    story.final_of(&sha).await;
    story.all_done().await;
    let status = story.one_final(&sha);
    assert!(new.printed.all().contains("this replica is the follower"));
    story.tell(&format!("stopped while it waited: {:?}", status.description));
}
