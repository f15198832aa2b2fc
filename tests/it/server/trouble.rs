//! Services that are slow, down or confused: the hook answers in time, nothing is lost, nothing is double.

use std::time::{Duration, Instant};

use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::http::Reply;
use crate::fake::serve::Serve;
use crate::fake::world::{SECRET, World};

/// Gitea gives up after five seconds.
const IN_TIME: Duration = Duration::from_secs(5);

const FAULTS: &[Fault] = &[
    Fault::Text(500, "rpc error: No cluster leader"),
    Fault::Html(502),
    Fault::TooMany,
    Fault::Hang,
    Fault::HangAfter,
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::Slow(Duration::from_millis(700)),
];

async fn in_time(world: &World, serve: &Serve, n: u64) -> Reply {
    world.forge.push("quentin/albatros", "main", &commit(n));
    let begun = Instant::now();
    let reply = Delivery::push("main", &commit(1), &commit(n)).send(&serve.url, SECRET).await;
    assert!(begun.elapsed() < IN_TIME, "{:?}: {} {}", begun.elapsed(), reply.status, reply.text);
    assert!(matches!(reply.status, 200 | 202 | 503), "{}: {}", reply.status, reply.text);
    assert!(reply.text.trim().len() > 5, "a sentence: {:?}", reply.text);
    reply
}

/// Everything works again: after redeliveries each commit is built once and reported once.
async fn comes_right(world: &World, serve: &Serve, commits: std::ops::Range<u64>) {
    for n in commits.clone() {
        let reply = Delivery::push("main", &commit(1), &commit(n)).send(&serve.url, SECRET).await;
        assert!(matches!(reply.status, 200 | 202), "{}: {}", reply.status, reply.text);
    }
    let count = usize::try_from(commits.end - commits.start).unwrap();
    world.nomad.child("builder", count).await;
    for build in world.nomad.children("builder") {
        world.nomad.run(&build);
        world.nomad.exit(&build, 0);
    }
    world.all_done(count).await;
    assert_eq!(world.nomad.children("builder").len(), count);
    for n in commits {
        assert_eq!(world.final_status(&commit(n)).state, "success");
    }
}

#[tokio::test]
async fn consul_in_trouble() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.followed().await;
    for (n, fault) in (10..).zip(FAULTS) {
        world.consul.faults().arm("*", "/v1/kv/albatros/", Times::All, *fault);
        world.consul.faults().arm("*", "/v1/txn", Times::All, *fault);
        in_time(&world, &serve, n).await;
        world.consul.faults().clear();
    }
    comes_right(&world, &serve, 10..10 + FAULTS.len() as u64).await;
}

#[tokio::test]
async fn nomad_in_trouble() {
    let world = World::new().await;
    let serve = world.serve().await;
    for (n, fault) in (10..).zip(FAULTS) {
        world.nomad.faults().arm("*", "/v1/job", Times::All, *fault);
        let reply = in_time(&world, &serve, n).await;
        assert_ne!(reply.status, 503, "after the claim the follower goes on: {}", reply.text);
        world.nomad.faults().clear();
    }
    comes_right(&world, &serve, 10..10 + FAULTS.len() as u64).await;
}

#[tokio::test]
async fn a_forge_in_trouble_gets_the_final_status_in_the_end() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut commits = 10..10;
    for fault in FAULTS {
        let n = commits.end;
        commits.end += 1;
        world.forge.faults().arm("POST", &commit(n), Times::Next(2), *fault);
        in_time(&world, &serve, n).await;
    }
    comes_right(&world, &serve, commits).await;
}

/// An answer that was lost is looked up, not posted again.
#[tokio::test]
async fn a_final_status_whose_answer_was_lost_is_not_posted_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    let runs = || world.forge.of(&commit(2)).iter().any(|status| status.description.contains("Running"));
    world.forge.wait("it is said to run", runs).await;
    world.forge.faults().arm("POST", "/statuses/", Times::Next(1), Fault::CutAfter);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
}

#[tokio::test]
async fn a_forge_that_refuses_for_good_is_given_up() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.revoke(crate::fake::world::FORGE);
    let untrusted = Delivery::push("main", &commit(1), &commit(2)).sender("lx");
    let build = world.build_by(&serve, &untrusted).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert!(world.forge.statuses().is_empty());
    assert_eq!(world.done()[0].1["outcome"]["is"], "success", "the build itself is not touched by that");
}

#[tokio::test]
async fn a_commit_the_forge_does_not_know_is_given_up() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(1));
    let build = Delivery::push("main", &commit(1), &commit(2)).sender("lx").send(&serve.url, SECRET).await;
    let build = build.text.trim_end().to_owned();
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert!(world.forge.statuses().is_empty());
}

#[tokio::test]
async fn all_services_down_and_up_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(9)).await;
    world.nomad.run(&build);
    for wire in [world.nomad.wire(), world.consul.wire(), world.forge.wire()] {
        wire.down(true);
    }
    in_time(&world, &serve, 10).await;
    for wire in [world.nomad.wire(), world.consul.wire(), world.forge.wire()] {
        wire.down(false);
    }
    comes_right(&world, &serve, 9..11).await;
}
