//! Which cache is good enough, and which build is the latest green one.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Build, Stage};
use crate::fake::delivery::{Delivery, REPO, commit};

#[tokio::test]
async fn the_newest_cache_that_begins_so_is_good_enough() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    for (id, bytes) in [("deps-a", b"1"), ("deps-c", b"2"), ("deps-b", b"3"), ("other-z", b"4")] {
        stage.put(&build, &format!("caches/{id}"), bytes).await;
    }
    let got = stage.get(&build, "caches/deps-x?fallback=deps-&fallback=other-").await;
    assert_eq!((got.text.as_str(), &got.headers["x-albatros-id"]), ("3", &"deps-b".parse().unwrap()));
    assert_eq!(stage.get(&build, "caches/deps-a?fallback=deps-").await.text, "1", "the very one, if it is there");
    assert_eq!(stage.get(&build, "caches/x?fallback=none-&fallback=other").await.text, "4");
    let head = stage.ask(&build, "HEAD", "caches/x?fallback=deps", Vec::new()).await;
    assert_eq!(head.headers["x-albatros-id"], "deps-b");
    assert_eq!(stage.get(&build, "caches/x?fallback=none-").await.status, 404);
    assert_eq!(stage.get(&build, "caches/x?fallback=..%2f").await.status, 400);
}

/// What the follower writes when a build has ended green.
fn green(stage: &Stage, build: &Build, (trust, git_ref, flavor): (&str, &str, &str), finished: &str) {
    let hash = |text: &str| hex::encode(Sha256::digest(text));
    let folder = stage.folder().join(format!("repos/{}/green/{trust}/{}", hash(REPO), hash(git_ref)));
    std::fs::create_dir_all(&folder).unwrap();
    let pointer = json!({"claim": build.claim, "build": build.id, "finished": finished});
    std::fs::write(folder.join(format!("{flavor}.json")), pointer.to_string()).unwrap();
}

const FROM: &str = "artifacts/a?from=latest-green";

#[tokio::test]
async fn a_later_build_reads_what_the_latest_green_one_of_its_branch_left() {
    let stage = Stage::new().await;
    let first = stage.build(2).await;
    stage.put(&first, "artifacts/a", b"first").await;
    let second = stage.build(3).await;
    assert_eq!(stage.get(&second, FROM).await.status, 404, "none is green yet");
    green(&stage, &first, ("trusted", "refs/heads/main", "default"), "2026-01-01T00:00:00Z");
    assert_eq!(stage.get(&second, FROM).await.text, "first");
    let listed = stage.get(&second, "artifacts?from=latest-green").await.value();
    assert_eq!(listed[0]["id"], "a", "{listed}");
    let elsewhere = stage.built(&Delivery::push("feature", &commit(3), &commit(4)), 4).await;
    assert_eq!(stage.get(&elsewhere, FROM).await.status, 404, "of its own branch");
    assert_eq!(stage.get(&elsewhere, &format!("{FROM}&branch=main")).await.text, "first");
    let big = stage.built(&Delivery::push("main", &commit(4), &commit(5)).flavor("big"), 5).await;
    assert_eq!(stage.get(&big, FROM).await.status, 404, "and of its own flavor");
    for query in ["?from=newest", "?branch=main"] {
        assert_eq!(stage.get(&second, &format!("artifacts/a{query}")).await.status, 400, "{query}");
    }
}

#[tokio::test]
async fn a_trusted_build_reads_nothing_of_an_untrusted_one() {
    let stage = Stage::new().await;
    let push = |n| Delivery::push("main", &commit(n - 1), &commit(n));
    let stranger = stage.built(&push(2).sender("mallory"), 2).await;
    stage.put(&stranger, "artifacts/a", b"poison").await;
    green(&stage, &stranger, ("untrusted", "refs/heads/main", "default"), "2026-01-02T00:00:00Z");
    let trusted = stage.build(3).await;
    assert_eq!(stage.get(&trusted, FROM).await.status, 404);
    let other = stage.built(&push(4).sender("mallory"), 4).await;
    assert_eq!(stage.get(&other, FROM).await.text, "poison", "it may harm itself");
    stage.put(&trusted, "artifacts/a", b"good").await;
    green(&stage, &trusted, ("trusted", "refs/heads/main", "default"), "2026-01-03T00:00:00Z");
    let seen: Vec<String> = [stage.get(&trusted, FROM).await, stage.get(&other, FROM).await].map(|it| it.text).into();
    assert_eq!(seen, ["good", "good"], "and the newest of both is the latest");
}

#[tokio::test]
async fn a_cache_that_is_used_is_written_down_as_used() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    stage.put(&build, "caches/a", b"one").await;
    let manifest = stage.files().into_iter().find(|file| file.ends_with("/a.json")).unwrap();
    let manifest = stage.folder().join(manifest);
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    let before: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    std::fs::File::options().append(true).open(&manifest).unwrap().set_modified(long_ago).unwrap();
    assert_eq!(stage.get(&build, "caches/a").await.status, 200);
    assert!(std::fs::metadata(&manifest).unwrap().modified().unwrap() > long_ago);
    let after: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
    assert_eq!(before, after, "and nothing else of it has changed");
}
