//! What is not built: by words in a message, by branch, by files.

mod files;
mod words;

use serde_json::{Value, json};

use crate::fake::delivery::{Delivery, commit};
use crate::fake::http::{Reply, client};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, SECRET, World};

const REPO: &str = "quentin/albatros";
const ZERO: &str = "0000000000000000000000000000000000000000";

/// A world whose repository is configured with some more fields, with commit 1 on `main`.
async fn world_with(more: &Value) -> World {
    let world = World::new().await;
    configure(&world, more);
    world.forge.push(REPO, "main", &commit(1));
    world
}

fn configure(world: &World, more: &Value) {
    let mut config = world.config();
    for (name, value) in more.as_object().unwrap() {
        config[name] = value.clone();
    }
    world.put_config(&config);
}

/// Commit `n` is pushed to `main`, on top of the one before it, and touches these files.
async fn push(world: &World, serve: &Serve, n: u64, files: &[&str]) -> Reply {
    world.forge.touches(REPO, &commit(n), files);
    world.push(serve, "main", &commit(n - 1), &commit(n)).await
}

/// A push whose head commit has this message.
fn saying(branch: &str, n: u64, message: &str) -> Delivery {
    let mut push = Delivery::push(branch, ZERO, &commit(n));
    push.body["head_commit"]["message"] = message.into();
    push
}

/// The push is delivered, and the commit on the branch.
async fn say(world: &World, serve: &Serve, branch: &str, n: u64, message: &str) -> Reply {
    world.forge.push(REPO, branch, &commit(n));
    saying(branch, n, message).send(&serve.url, SECRET).await
}

/// That the commit's one final status says that it was skipped, and so.
fn assert_skipped(world: &World, n: u64, words: &str) {
    let last = world.final_status(&commit(n));
    assert_eq!(last.state, "success", "{last:?}");
    assert!(last.description.starts_with("Skipped: ") && last.description.contains(words), "{last:?}");
}

/// Somebody starts a build of a branch by hand.
async fn trigger(serve: &Serve, branch: &str, n: u64) -> Reply {
    let body = json!({"repo": crate::fake::delivery::REPO, "ref": branch, "commit": commit(n)});
    let request = client().post(format!("{}/trigger", serve.url));
    Reply::read(request.header("authorization", format!("Bearer {ACTOR}")).json(&body).send().await.unwrap()).await
}
