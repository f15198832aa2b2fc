//! Many jobs at once: each done once, never more runners than the pool has room for.

use super::*;
use crate::fake::fault::{Fault, Times};
use crate::fake::forge::Forge;

const JOBS: usize = 20;
const MOST: usize = 4;

/// How many runners the engine has that are not over.
fn running(world: &World) -> usize {
    let is_open = |record: &Value| matches!(record["phase"]["is"].as_str(), Some("claimed" | "dispatched"));
    world.open().iter().filter(|(_, record)| is_open(record)).count()
}

fn queued(forge: &Forge) -> usize {
    forge.jobs().iter().filter(|job| job.status == "queued").count()
}

#[tokio::test]
async fn twenty_jobs_with_room_for_four_are_each_done_once() {
    let world = world(&pool()).await;
    let (one, two) = (world.serve().await, world.serve().await);
    world.followed().await;
    for n in 0..JOBS {
        let job = world.forge.queue(REPO, &[LABEL]);
        // Every third delivery is lost.
        if n % 3 != 0 {
            deliver(if n % 2 == 0 { &one } else { &two }, &job).await;
        }
    }
    let mut seen = 0;
    while queued(&world.forge) > 0 {
        let mut now: Vec<(String, Job)> = Vec::new();
        seen += 1;
        let build = world.nomad.child("runner", seen).await;
        assert!(running(&world) <= MOST, "{} of {MOST}", running(&world));
        let (build, id) = register_build(&world, &one, build).await;
        if let Some(job) = world.forge.take_job(id) {
            now.push((build, job));
        }
        for (build, job) in now {
            done(&world, &build, &job);
        }
    }
    world.none_open().await;
    assert!(world.forge.jobs().iter().all(|job| job.conclusion.as_deref() == Some("success") && job.attempt == 1));
    assert!(world.forge.runners().is_empty(), "{:?}", world.forge.runners());
}

#[tokio::test]
async fn a_runner_that_took_another_s_job_leaves_a_runner_for_its_own() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    let (first, second) = (world.forge.queue(REPO, &[LABEL]), world.forge.queue(REPO, &[LABEL]));
    deliver(&serve, &second).await;
    let (build, id) = registered(&world, &serve, 1).await;
    let taken = world.forge.take_job(id).unwrap();
    assert_eq!(taken.id, first.id, "the oldest job is given out first");
    let (other, id) = registered(&world, &serve, 2).await;
    assert_eq!(world.forge.take_job(id).unwrap().id, second.id);
    done(&world, &build, &first);
    done(&world, &other, &second);
    world.all_done(2).await;
    assert_eq!((world.nomad.dispatches(), world.forge.runners().len()), (2, 0));
}

#[tokio::test]
async fn a_job_does_not_wait_until_its_runner_is_through_with_another_s_job() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    world.forge.faults().arm("GET", "/actions/jobs", Times::All, Fault::Text(502, "away"));
    let (first, second) = (world.forge.queue(REPO, &[LABEL]), world.forge.queue(REPO, &[LABEL]));
    deliver(&serve, &second).await;
    let (build, id) = registered(&world, &serve, 1).await;
    let taken = world.forge.take_job(id).unwrap();
    assert_eq!(taken.id, first.id);
    world.forge.faults().clear();
    // The first one's job runs on.
    let (other, id) = registered(&world, &serve, 2).await;
    assert_eq!(world.forge.take_job(id).unwrap().id, second.id);
    done(&world, &build, &first);
    done(&world, &other, &second);
    world.all_done(2).await;
}
