//! Lists of ended builds are answered from a copy, and the copy is right.

use serde_json::{Value, json};

use crate::fake::delivery::{REPO, commit};
use crate::fake::http::client;
use crate::fake::serve::Serve;
use crate::fake::world::{DONE, World};

/// An ended change that another replica has written, `n` seconds after some time.
fn put(world: &World, n: u64, branch: &str) {
    let at = |seconds: u64| format!("2026-01-01T{:02}:{:02}:{:02}Z", seconds / 3600, seconds / 60 % 60, seconds % 60);
    let done = json!({
        "version": 1, "build": format!("builder/dispatch-{}-{n:08x}", 1_767_000_000 + n), "outcome": outcome(n),
        "created": at(n), "started": at(n), "finished": "2999-01-01T00:00:00Z", "repo": REPO, "before": "",
        "ref": format!("refs/heads/{branch}"), "commit": commit(7), "flavor": "default", "event": "push",
        "sender": {"login": "quentin"}, "private": false, "trusted": true,
    });
    world.consul.put(&key(n), done.to_string());
}

fn outcome(n: u64) -> Value {
    if n.is_multiple_of(5) { json!({"is": "failure", "exit_code": 1, "signal": 0}) } else { json!({"is": "success"}) }
}

fn key(n: u64) -> String {
    format!("{DONE}{:016x}{n:048x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

async fn list(serve: &Serve, query: &str) -> Vec<u64> {
    let request = client().get(format!("{}/builds?{query}", serve.url)).header("accept", "application/json");
    let views: Vec<Value> = request.send().await.unwrap().json().await.unwrap();
    let number = |view: &Value| u64::from_str_radix(view["build"].as_str()?.rsplit('-').next()?, 16).ok();
    views.iter().filter_map(number).collect()
}

#[tokio::test]
async fn what_ended_unseen_comes_and_what_is_gone_goes() {
    let world = World::new().await;
    for n in 0..120 {
        put(&world, n, if n % 2 == 0 { "even" } else { "odd" });
    }
    let serve = world.serve().await;
    assert_eq!(list(&serve, "").await, (70..120).rev().collect::<Vec<_>>());
    put(&world, 120, "odd");
    assert_eq!(list(&serve, "limit=2").await, [120, 119], "what began and ended behind its back");
    world.consul.remove(&key(119));
    world.consul.remove(&key(118));
    assert_eq!(list(&serve, "limit=2").await, [120, 117], "what is gone");
    assert_eq!(list(&serve, &format!("limit=3&branch=even&repo={REPO}")).await, [116, 114, 112]);
    assert_eq!(list(&serve, "limit=3&branch=even").await, [116, 114, 112]);
    let spelled = REPO.replace("http://", "HTTP://");
    assert_eq!(list(&serve, &format!("limit=2&repo={spelled}/&state=failure")).await, [120, 115]);
    assert_eq!(list(&serve, "limit=2&before=2026-01-01T00:00:50Z").await, [49, 48]);
    assert!(list(&serve, "sender=nobody").await.is_empty() && list(&serve, "flavor=none").await.is_empty());
    assert_eq!(list(&serve, "sender=QUENTIN&limit=1").await, [120]);
}

#[tokio::test]
async fn what_has_been_read_is_not_read_again() {
    let world = World::new().await;
    for n in 0..40 {
        put(&world, n, "main");
    }
    let serve = world.serve().await;
    world.followed().await;
    // The follower looks all through for what is over age, and then not for an hour.
    world.consul.wire().wait_seen("GET", "/done/f", 1).await;
    assert_eq!(list(&serve, "limit=1").await, [39]);
    let reads = || {
        let seen = world.consul.wire().seen();
        let is_read = |path: &str| path.contains("/done/") || path.contains("/done%2F");
        seen.iter().filter(|one| is_read(&one.path)).count()
    };
    let before = reads();
    for _ in 0..20 {
        assert_eq!(list(&serve, "limit=1").await, [39]);
    }
    assert_eq!(reads(), before, "nothing has changed");
    put(&world, 40, "main");
    assert_eq!(list(&serve, "limit=1").await, [40]);
    assert_eq!(reads(), before + 2, "the names, and the one that is new");
}

#[tokio::test]
async fn a_registry_that_went_back_is_read_anew() {
    let world = World::new().await;
    for n in 0..10 {
        put(&world, n, "main");
    }
    let serve = world.serve().await;
    assert_eq!(list(&serve, "limit=2").await, [9, 8]);
    world.consul.go_back(|| {
        for n in 3..10 {
            world.consul.remove(&key(n));
        }
    });
    // An index that happens to be the same as before hides it for a few seconds.
    while list(&serve, "limit=2").await != [2, 1] {
        tokio::task::yield_now().await;
    }
}
