//! Whose turn it is: `concurrency` in a repository's configuration.

mod cheap;
mod files;
mod killed;
mod limit;
mod newer;
mod queue;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fake::delivery::{Delivery, commit};
use crate::fake::serve::Serve;
use crate::fake::world::{SECRET, World};

/// A world whose repository is configured so.
async fn world(concurrency: Value) -> World {
    let world = World::new().await;
    configure(&world, concurrency);
    world
}

fn configure(world: &World, concurrency: Value) {
    let mut config = world.config();
    config["concurrency"] = concurrency;
    // Handing over secrets asks the forge as well.
    config.as_object_mut().unwrap().remove("inject");
    world.put_config(&config);
}

/// The commit is pushed, and its delivery answered at once; gives its claim.
async fn waits(world: &World, serve: &Serve, n: u64) -> String {
    world.forge.push("quentin/albatros", "main", &commit(n));
    delivered(serve, &Delivery::push("main", &commit(n - 1), &commit(n))).await
}

/// A delivery, of what was pushed before; gives its claim.
async fn delivered(serve: &Serve, delivery: &Delivery) -> String {
    let reply = delivery.send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert!(reply.text.ends_with("accepted: waiting for its turn\n"), "{}", reply.text);
    let address = reply.text.lines().next().unwrap();
    address.strip_prefix("https://ci.example/builds/claim/").unwrap().to_owned()
}

/// The commit of a build.
fn commit_of(world: &World, build: &str) -> String {
    world.nomad.job(build)["Meta"]["COMMIT"].as_str().unwrap().to_owned()
}

/// Runs each build of `count` as soon as there is one, lets them end one after another, the oldest first, and checks
/// that never more than `max` were under way. Gives their commits in the order in which they were dispatched.
async fn drive(world: &World, count: usize, max: usize) -> Vec<String> {
    let mut ended = 0;
    while ended < count {
        let room = || {
            let begun = world.nomad.children("builder").len();
            assert!(begun - ended <= max, "{begun} dispatched, {ended} ended");
            begun >= count.min(ended + max)
        };
        world.nomad.wait(&format!("as many builds as may be, after {ended}"), room).await;
        let build = world.nomad.children("builder")[ended].clone();
        world.nomad.run(&build);
        ended += 1;
        world.nomad.exit(&build, 0);
    }
    let children = world.nomad.children("builder");
    assert_eq!(children.iter().collect::<BTreeSet<_>>().len(), children.len());
    children.iter().map(|build| commit_of(world, build)).collect()
}

/// That commits were dispatched in this order. Those whose turn comes at the same moment, at most `max`, are dispatched
/// beside each other, and Nomad may see the later one first.
fn in_order(dispatched: &[String], commits: std::ops::Range<u64>, max: usize) {
    let wanted: Vec<String> = commits.map(commit).collect();
    assert_eq!(dispatched.len(), wanted.len(), "{dispatched:?}");
    for (place, one) in wanted.iter().enumerate() {
        let found = dispatched.iter().position(|other| other == one);
        assert!(found.is_some_and(|found| found.abs_diff(place) < max), "{one} in {dispatched:?}");
    }
}

/// Waits until the open record of a commit is so.
async fn record_is(world: &World, commit: &str, what: &str, fits: impl Fn(&Value) -> bool) {
    let found = || world.open().into_iter().any(|(_, record)| record["commit"] == *commit && fits(&record));
    world.consul.wait("albatros-builds/open/", what, |_| found()).await;
}
