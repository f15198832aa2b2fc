//! Who may read and change what others left.

use super::{Build, Stage, sum, told};
use crate::fake::delivery::{Delivery, commit};

const OTHER: &str = "http://127.0.0.1:3300/mallory/other.git";

fn push(n: u64) -> Delivery {
    Delivery::push("main", &commit(n - 1), &commit(n))
}

#[tokio::test]
async fn what_an_untrusted_build_saves_never_reaches_a_trusted_one() {
    let stage = Stage::new().await;
    let fork = stage.built(&push(2).sender("mallory"), 2).await;
    stage.put(&fork, "caches/deps-1", b"poison").await;
    let trusted = stage.build(3).await;
    assert_eq!(stage.get(&trusted, "caches/deps-1").await.status, 404);
    assert_eq!(stage.get(&trusted, "caches/deps-2?fallback=deps-").await.status, 404);
    stage.put(&trusted, "caches/deps-1", b"good").await;
    assert_eq!(stage.get(&trusted, "caches/deps-1").await.text, "good", "the name was not taken by the other");
    assert_eq!(stage.get(&fork, "caches/deps-1").await.text, "poison", "each its own first");
    let second = stage.built(&push(4).sender("mallory"), 4).await;
    stage.put(&trusted, "caches/only-trusted", b"good too").await;
    assert_eq!(stage.get(&second, "caches/only-trusted").await.text, "good too", "what is trusted may be read");
    let upload = stage.begin(&second, "caches/only-trusted").await;
    assert_eq!(stage.send(&second, &upload, b"poison").await.status, 204);
    assert_eq!(stage.commit(&second, "caches/only-trusted", &told(&upload, b"poison")).await.status, 201);
    assert_eq!(stage.get(&trusted, "caches/only-trusted").await.text, "good too", "and stays as it is");
}

#[tokio::test]
async fn no_spelling_reaches_another_repository_or_build() {
    let stage = Stage::new().await;
    stage.world.consul.put_repo("albatros", OTHER, &stage.world.config());
    let ours = stage.build(2).await;
    stage.put(&ours, "artifacts/secret", b"ours").await;
    stage.put(&ours, "caches/secret", b"ours").await;
    let upload = stage.begin(&ours, "artifacts/next").await;
    let theirs = stage.built(&push(3).repo(OTHER), 3).await;
    for id in [
        "secret",
        "..%2fsecret",
        "%2e%2e%2f%2e%2e%2fsecret",
        "secret.json",
        "secret%00",
        "..%2f..%2fcaches%2ftrusted%2fsecret",
    ] {
        for kind in ["artifacts", "caches"] {
            let got = stage.get(&theirs, &format!("{kind}/{id}")).await;
            assert!(matches!(got.status, 400 | 404), "{kind}/{id}: {} {}", got.status, got.text);
        }
    }
    assert_eq!(stage.get(&theirs, "caches/x?fallback=s").await.status, 404);
    assert_eq!(stage.get(&theirs, "artifacts").await.text, "[]");
    assert_eq!(stage.send(&theirs, &upload, b"theirs").await.status, 204, "an upload of that name, of their own");
    assert_eq!(stage.commit(&ours, "artifacts/next", &told(&upload, b"theirs")).await.status, 422, "is not ours");
    let crossed = Build { claim: ours.claim.clone(), ..theirs.clone() };
    assert_eq!(stage.get(&crossed, "artifacts/secret").await.status, 403, "nor with another's claim");
    let next = stage.build(4).await;
    assert_eq!(stage.get(&next, "artifacts/secret").await.status, 404, "a build's artifacts are its own");
    assert_eq!(stage.get(&next, "caches/secret").await.text, "ours", "its repository's caches are not");
}

#[tokio::test]
async fn one_flavor_or_spelling_of_a_repository_has_the_same_caches() {
    let stage = Stage::new().await;
    let first = stage.build(2).await;
    stage.put(&first, "caches/a", b"one").await;
    let other = stage.built(&push(3).flavor("big"), 3).await;
    let got = stage.get(&other, "caches/a").await;
    assert_eq!((got.status, sum(got.text.as_bytes())), (200, sum(b"one")));
}
