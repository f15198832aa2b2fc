//! `kill -9` of a server, at known moments and at random ones: no build is lost, none is double, each has one verdict.

use std::time::Duration;

use crate::fake::delivery::commit;
use crate::fake::fault::{Fault, Times};
use crate::relay::Relay;
use crate::story::{SECRET, Story};

const NONE: &str = "0000000000000000000000000000000000000000";

/// When the server dies.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// The claim is written, Nomad has not heard of it.
    BeforeDispatch,
    /// Nomad has dispatched, its answer has not arrived.
    BeforeAnswer,
    /// The final status is recorded as intended, the forge has not got it.
    BeforeFinal,
    /// The forge has the final status, its answer has not arrived.
    AfterFinal,
}

/// Kills the server at a moment, with another one beside it or with one that is started then.
async fn killed(name: &str, moment: Moment, replicas: usize) {
    let Some(story) = Story::begin(name).await else { return };
    let nomad = Relay::to(&story.cluster.nomad.url()).await;
    let settings = [("NOMAD_ADDR", nomad.url())];
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let victim = story.serve_with(&settings).await;
    story.followed(None).await;
    let mut left = if replicas > 1 { Some(story.serve().await) } else { None };

    let sha = commit(0x61);
    let delivery = story.pushed("gate", NONE, &sha);
    let (faults, path, fault) = match moment {
        Moment::BeforeDispatch => (nomad.wire.faults(), "/dispatch", Fault::Hang),
        Moment::BeforeAnswer => (nomad.wire.faults(), "/dispatch", Fault::HangAfter),
        Moment::BeforeFinal => (story.forge.faults(), "/statuses/", Fault::Hang),
        Moment::AfterFinal => (story.forge.faults(), "/statuses/", Fault::HangAfter),
    };
    match moment {
        Moment::BeforeDispatch | Moment::BeforeAnswer => {
            let mut armed = faults.arm("POST", path, Times::All, fault);
            let url = victim.url.clone();
            let sent = tokio::spawn(async move { delivery.try_send(&url, SECRET).await });
            armed.hit(1).await;
            victim.kill().await;
            let _ = sent.await;
        }
        Moment::BeforeFinal | Moment::AfterFinal => {
            let reply = delivery.send(&victim.url, SECRET).await;
            assert!([200, 202].contains(&reply.status), "{}: {}", reply.status, reply.text);
            let running = || story.forge.of(&sha).iter().any(|status| status.description == "Running");
            story.forge.wait("the build to run", running).await;
            let mut armed = faults.arm("POST", path, Times::All, fault);
            story.open_gate("gate");
            armed.hit(1).await;
            victim.kill().await;
        }
    }
    faults.clear();
    story.open_gate("gate");
    if left.is_none() {
        left = Some(story.serve_with(&settings).await);
    }

    story.final_of(&sha).await;
    let done = story.all_done().await;
    let children = story.children().await;
    assert_eq!((done.len(), children.len()), (1, 1), "{name}: one record and one child");
    assert_eq!(done[0].1["build"], children[0]["ID"]);
    let status = story.one_final(&sha);
    assert!(status.description.starts_with("Successful in "), "{status:?}");
    story.tell(&format!("killed {moment:?}, {replicas} server(s): 1 child, 1 record, {:?}", status.description));
    drop(left);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_at_a_known_moment_leaves_one_build_and_one_verdict() {
    tokio::join!(
        killed("killed-dispatch-1", Moment::BeforeDispatch, 1),
        killed("killed-dispatch-2", Moment::BeforeDispatch, 2),
        killed("killed-answer-1", Moment::BeforeAnswer, 1),
        killed("killed-answer-2", Moment::BeforeAnswer, 2),
        killed("killed-before-1", Moment::BeforeFinal, 1),
        killed("killed-before-2", Moment::BeforeFinal, 2),
        killed("killed-after-1", Moment::AfterFinal, 1),
        killed("killed-after-2", Moment::AfterFinal, 2),
    );
}

/// Numbers that look random and are the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// What is delivered in each round, milliseconds apart.
const CHANGES: u64 = 4;
/// The latest moment of a kill after the first delivery, in milliseconds: most builds are over by then.
const LATEST: u64 = 3_000;

/// Rounds of deliveries and a kill at a random moment, each while there is a follower.
async fn killed_at_random(name: &str, seed: u64, replicas: usize) {
    let Some(story) = Story::begin(name).await else { return };
    let rounds: u64 = std::env::var_os("ALBATROS_LIVE_ROUNDS").map_or(3, |n| n.to_str().unwrap().parse().unwrap());
    let mut dice = Dice(seed);
    let (mut moments, mut dead) = (Vec::new(), None);
    let mut servers = std::collections::VecDeque::new();
    for round in 0..rounds {
        while servers.len() < replicas {
            servers.push_back(story.serve().await);
        }
        let session = story.followed(dead.as_deref()).await;
        let at = dice.below(LATEST);
        moments.push(at);
        let urls: Vec<String> = servers.iter().map(|serve| serve.url.clone()).collect();
        let deliveries: Vec<_> =
            (0..CHANGES).map(|n| story.pushed(&format!("b{n}"), NONE, &commit(0x7000 + round * CHANGES + n))).collect();
        let sent: Vec<_> = deliveries
            .iter()
            .enumerate()
            .map(|(n, delivery)| {
                let (delivery, url) = (delivery.clone(), urls[n % urls.len()].clone());
                let wait = dice.below(LATEST / 2);
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    let _ = delivery.try_send(&url, SECRET).await;
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(at)).await;
        let victim = servers.pop_front().unwrap();
        dead = victim.printed.all().contains("this replica is the follower").then_some(session);
        victim.kill().await;
        for one in sent {
            one.await.unwrap();
        }
        // What did not get through is delivered again, as people do; what did is known.
        let other = story.serve().await;
        for delivery in &deliveries {
            let reply = delivery.send(&other.url, SECRET).await;
            assert!([200, 202].contains(&reply.status), "{}: {}", reply.status, reply.text);
        }
        servers.push_back(other);
    }
    let all: Vec<String> = (0..rounds * CHANGES).map(|n| commit(0x7000 + n)).collect();
    for sha in &all {
        story.final_of(sha).await;
    }
    let done = story.all_done().await;
    let children = story.children().await;
    assert_eq!((done.len(), children.len()), (all.len(), all.len()), "{name}: seed {seed}, killed at {moments:?} ms");
    for sha in &all {
        assert_eq!(story.one_final(sha).state, "success", "seed {seed}, killed at {moments:?} ms");
    }
    let count = all.len();
    story.tell(&format!(
        "seed {seed}, {replicas} server(s), killed at {moments:?} ms: {count} changes, {count} children, {count} verdicts"
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_killed_at_random_leave_one_build_and_one_verdict_a_change() {
    let told = std::env::var_os("ALBATROS_LIVE_SEED").map(|seed| seed.to_str().unwrap().parse::<u64>().unwrap());
    let seed = told.unwrap_or_else(|| getrandom::u64().unwrap() % 1_000_000);
    tokio::join!(
        killed_at_random("random-1", seed, 1),
        killed_at_random("random-2", seed + 1, 1),
        killed_at_random("random-3", seed + 2, 2),
        killed_at_random("random-4", seed + 3, 2),
    );
}
