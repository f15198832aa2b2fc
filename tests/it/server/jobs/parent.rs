//! A job ends with the build that started it, however that ends.

use serde_json::{Value, json};

use super::{Parent, job};
use crate::fake::fault::{Fault, Times};
use crate::fake::world::{ACTOR, World, person};

/// A parent with a job that runs.
async fn running() -> (Parent, String) {
    let parent = Parent::new().await;
    let build = parent.start(&job("test")).await;
    parent.world().nomad.run(&build);
    parent.wait("it runs", |job| job["state"] == "running").await;
    (parent, build)
}

/// Waits until both are over; how the job ended.
async fn both_over(parent: &Parent, build: &str) -> Value {
    parent.world().all_done(2).await;
    assert_eq!(parent.world().nomad.job(build)["Stop"], true, "the job is stopped");
    parent.done_job().unwrap()["outcome"].clone()
}

async fn ends_with(end: impl FnOnce(&World, &str)) {
    let (parent, build) = running().await;
    end(parent.world(), &parent.story.build);
    let outcome = both_over(&parent, &build).await;
    assert_eq!(outcome["is"], "cancelled", "{outcome}");
    assert!(outcome["by"].as_str().unwrap().contains("the build that started it"), "{outcome}");
}

#[tokio::test]
async fn that_is_green() {
    ends_with(|world, build| world.nomad.exit(build, 0)).await;
}

#[tokio::test]
async fn that_fails() {
    ends_with(|world, build| world.nomad.exit(build, 1)).await;
}

#[tokio::test]
async fn that_is_lost() {
    ends_with(|world, build| world.nomad.lose(build)).await;
}

#[tokio::test]
async fn that_is_stopped_at_nomad() {
    ends_with(|world, build| world.nomad.stop_job(build)).await;
}

#[tokio::test]
async fn that_is_gone() {
    ends_with(|world, build| world.nomad.purge(build)).await;
}

#[tokio::test]
async fn whose_record_is_gone() {
    let (parent, build) = running().await;
    parent.world().consul.remove(&format!("albatros-builds/open/{}", parent.claim));
    parent.world().all_done(1).await;
    assert_eq!(parent.world().nomad.job(&build)["Stop"], true);
}

/// At once: a parent that does not stop does not keep its jobs running.
#[tokio::test]
async fn that_is_cancelled() {
    let (parent, build) = running().await;
    parent.world().nomad.stubborn(true);
    let path = format!("/builds/{}", parent.story.build);
    assert_eq!(person(&parent.story.serve, "DELETE", &path, Some(ACTOR)).await.status, 202);
    parent.world().nomad.wait("the job is stopped", || parent.world().nomad.job(&build)["Stop"] == true).await;
    parent.world().nomad.kill(&build);
    parent.world().nomad.kill(&parent.story.build);
    assert_eq!(both_over(&parent, &build).await["is"], "cancelled");
}

/// The follower dies; another server is there.
async fn follower_dies(parent: &mut Parent) {
    parent.world().followed().await;
    let second = parent.world().serve().await;
    let first = std::mem::replace(&mut parent.story.serve, second);
    first.kill().await;
}

#[tokio::test]
async fn that_ends_while_nobody_follows() {
    let (mut parent, build) = running().await;
    follower_dies(&mut parent).await;
    parent.world().nomad.exit(&parent.story.build, 0);
    parent.world().let_locks_go();
    assert_eq!(both_over(&parent, &build).await["is"], "cancelled");
}

/// The parent was ended and settled by a follower that died before it looked at the job.
#[tokio::test]
async fn that_was_over_before_the_next_follower_came() {
    let (mut parent, build) = running().await;
    follower_dies(&mut parent).await;
    parent.world().consul.remove(&format!("albatros-builds/open/{}", parent.claim));
    parent.world().let_locks_go();
    parent.world().all_done(1).await;
    assert_eq!(parent.world().nomad.job(&build)["Stop"], true);
}

/// The dispatch is on its way while the parent ends: the child is there afterwards, and does not stay.
#[tokio::test]
async fn that_ends_while_the_job_is_being_dispatched() {
    let parent = Parent::new().await;
    parent.world().followed().await;
    let mut moment = parent.world().nomad.faults().arm("*", "container/dispatch", Times::Next(1), Fault::HangAfter);
    let spec = job("test");
    let put = parent.put(&spec);
    let (reply, ()) = tokio::join!(put, async {
        moment.hit(1).await;
        parent.world().nomad.exit(&parent.story.build, 0);
    });
    assert_eq!(reply.status, 201, "{}", reply.text);
    let build = parent.world().nomad.child("container", 1).await;
    let stopping = |open: &[(String, Vec<u8>)]| {
        open.iter().any(|(_, record)| String::from_utf8_lossy(record).contains("\"why\":\"parent\""))
    };
    parent.world().consul.wait("albatros-builds/open/", "the job's stop", stopping).await;
    parent.world().all_work();
    assert_eq!(both_over(&parent, &build).await["is"], "cancelled");
    assert_eq!(parent.world().nomad.dispatches(), 2);
}

/// Its record is written when its parent has just ended.
#[tokio::test]
async fn that_ends_while_the_job_is_being_claimed() {
    let parent = Parent::new().await;
    parent.world().followed().await;
    let started = parent.put(&json!({"name": "test", "hold": true})).await;
    assert_eq!(started.status, 201, "{}", started.text);
    let (claim, mut record) = parent.world().open().into_iter().find(|(_, it)| !it["parent"].is_null()).unwrap();
    parent.world().nomad.exit(&parent.story.build, 0);
    parent.world().all_done(2).await;
    // As if it had been claimed only now.
    record["phase"] = json!({"is": "claimed"});
    let late = format!("{}{}", &claim[..63], if claim.ends_with('0') { "1" } else { "0" });
    parent.world().consul.put(&format!("albatros-builds/open/{late}"), record.to_string());
    parent.world().all_done(3).await;
    assert_eq!(parent.world().nomad.children("container").len(), 0, "it was never dispatched");
}
