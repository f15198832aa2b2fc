//! A store that is not there.

use super::{Stage, told};
use crate::fake::world::person;
use crate::server::session::refused;

#[tokio::test]
async fn a_store_that_is_gone_is_told_and_nothing_is_half() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    stage.put(&build, "artifacts/a", b"one").await;
    let upload = stage.begin(&build, "artifacts/b").await;
    let away = stage.folder().with_extension("away");
    std::fs::rename(stage.folder(), &away).unwrap();
    for reply in [
        stage.ask(&build, "POST", "artifacts/c", b"{}".to_vec()).await,
        stage.send(&build, &upload, b"two").await,
        stage.commit(&build, "artifacts/b", &told(&upload, b"two")).await,
        stage.get(&build, "artifacts/a").await,
        stage.get(&build, "artifacts").await,
    ] {
        refused(&reply, 503);
        assert!(reply.text.contains("the store cannot be reached"), "{}", reply.text);
        assert!(reply.headers.contains_key("retry-after"));
    }
    assert!(!stage.folder().exists(), "it is not made anew in its place");
    std::fs::rename(&away, stage.folder()).unwrap();
    assert_eq!(stage.send(&build, &upload, b"two").await.status, 204);
    assert_eq!(stage.commit(&build, "artifacts/b", &told(&upload, b"two")).await.status, 201);
    assert_eq!(stage.get(&build, "artifacts/a").await.text, "one");
}

#[tokio::test]
async fn a_server_without_a_store_says_so() {
    let stage = Stage::with(&[("ALBATROS_STORE", "")]).await;
    let build = stage.build(2).await;
    let reply = stage.ask(&build, "POST", "artifacts/a", b"{}".to_vec()).await;
    refused(&reply, 404);
    assert_eq!(reply.value()["type"], "urn:albatros:no-store");
    assert_eq!(person(&stage.serve, "GET", "/readyz", None).await.status, 200, "and is ready nevertheless");
}

#[tokio::test]
async fn bytes_that_are_gone_are_not_there_and_make_room() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    stage.put(&build, "caches/a", b"one").await;
    let object = stage.files().into_iter().find(|file| file.contains("/objects/")).unwrap();
    std::fs::remove_file(stage.folder().join(object)).unwrap();
    refused(&stage.get(&build, "caches/a").await, 404);
    stage.put(&build, "caches/a", b"two").await;
    assert_eq!(stage.get(&build, "caches/a").await.text, "two");
}

#[tokio::test]
async fn a_server_that_cannot_write_its_store_is_not_ready() {
    let stage = Stage::new().await;
    assert_eq!(person(&stage.serve, "GET", "/readyz", None).await.text, "ready\n");
    let away = stage.folder().with_extension("away");
    std::fs::rename(stage.folder(), &away).unwrap();
    let reply = person(&stage.serve, "GET", "/readyz", None).await;
    assert_eq!(
        (reply.status, reply.text.as_str()),
        (503, "the store cannot be written: the store cannot be reached\n")
    );
    std::fs::rename(&away, stage.folder()).unwrap();
    assert_eq!(person(&stage.serve, "GET", "/readyz", None).await.status, 200);
}
