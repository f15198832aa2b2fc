//! What is not kept, and leaves nothing.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Stage, sum, told};
use crate::fake::http::Reply;
use crate::fake::wire::PATIENCE;
use crate::server::session::refused;

fn says(reply: &Reply, status: u16, words: &str) {
    refused(reply, status);
    assert!(reply.text.contains(words), "{words}: {}", reply.text);
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    let upload = stage.begin(&build, "artifacts/a").await;
    let head = format!(
        "PUT /session/{}/uploads/{upload} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: 30000000\r\n\r\n",
        build.claim, build.secret
    );
    let mut stream = TcpStream::connect(stage.serve.url.strip_prefix("http://").unwrap()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![7; 20_000_000]).await.unwrap();
    assert_eq!(stage.files().len(), 1, "it is on its way: {:?}", stage.files());
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    drop(stream);
    let gone = async {
        while !stage.files().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    let missing = stage.commit(&build, "artifacts/a", &told(&upload, &[7; 20])).await;
    says(&missing, 422, "begin and send it again");
    assert_eq!(stage.send(&build, &upload, b"again").await.status, 204, "it may be sent again as it was begun");
    assert_eq!(stage.commit(&build, "artifacts/a", &told(&upload, b"again")).await.status, 201);
}

#[tokio::test]
async fn what_arrived_as_something_else_is_not_kept() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    for (field, value, words) in [
        ("sha256", json!(sum(b"two")), "another SHA-256"),
        ("size", json!(4), "3 bytes have arrived, and 4 were meant"),
    ] {
        let upload = stage.begin(&build, "caches/a").await;
        assert_eq!(stage.send(&build, &upload, b"one").await.status, 204);
        let mut wrong = told(&upload, b"one");
        wrong[field] = value;
        says(&stage.commit(&build, "caches/a", &wrong).await, 422, words);
        assert!(stage.files().is_empty(), "{:?}", stage.files());
        assert_eq!(stage.get(&build, "caches/a").await.status, 404);
    }
}

#[tokio::test]
async fn what_is_too_large_is_told_its_number() {
    let stage = Stage::with(&[("ALBATROS_ARTIFACT_LIMIT", "1KiB"), ("ALBATROS_CACHE_LIMIT", "2KiB")]).await;
    let build = stage.build(2).await;
    let announced = stage.ask(&build, "POST", "artifacts/a", b"{\"size\": 1025}".to_vec()).await;
    says(&announced, 413, "1025 bytes, and may be of 1 KiB at most (ALBATROS_ARTIFACT_LIMIT)");
    let upload = stage.begin(&build, "artifacts/a").await;
    says(&stage.send(&build, &upload, &[7; 1025]).await, 413, "ALBATROS_ARTIFACT_LIMIT");
    let url = format!("{}/session/{}/uploads/{upload}", stage.serve.url, build.claim);
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(vec![7; 1025])]));
    let sent = crate::fake::http::client().put(url).bearer_auth(&build.secret).body(body).send().await.unwrap();
    says(&Reply::read(sent).await, 413, "1 KiB");
    assert!(stage.files().is_empty(), "{:?}", stage.files());
    let cache = stage.ask(&build, "POST", "caches/a", b"{\"size\": 2049}".to_vec()).await;
    says(&cache, 413, "2 KiB at most (ALBATROS_CACHE_LIMIT)");
    assert_eq!(stage.ask(&build, "POST", "artifacts/a", b"{\"size\": 1024}".to_vec()).await.status, 201);
}

#[tokio::test]
async fn a_build_leaves_so_many_artifacts_and_no_more() {
    let stage = Stage::with(&[("ALBATROS_ARTIFACT_COUNT", "2"), ("ALBATROS_CACHE_COUNT", "1")]).await;
    let build = stage.build(2).await;
    let third = stage.begin(&build, "artifacts/c").await;
    assert_eq!(stage.send(&build, &third, b"c").await.status, 204);
    for id in ["a", "b"] {
        stage.put(&build, &format!("artifacts/{id}"), b"x").await;
    }
    says(&stage.ask(&build, "POST", "artifacts/d", b"{}".to_vec()).await, 413, "2 artifacts");
    says(&stage.commit(&build, "artifacts/c", &told(&third, b"c")).await, 413, "2 artifacts");
    stage.put(&build, "caches/a", b"x").await;
    says(&stage.ask(&build, "POST", "caches/b", b"{}".to_vec()).await, 413, "ALBATROS_CACHE_COUNT");
}

#[tokio::test]
async fn words_that_make_no_sense_are_refused() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    for path in ["artifacts/.a", "artifacts/%2e%2e", "artifacts/a%2fb", "artifacts/%00", "caches/-a", "artifacts/%ff"] {
        let reply = stage.ask(&build, "POST", path, b"{}".to_vec()).await;
        // What a client has already made `..` of is another address.
        assert!(matches!(reply.status, 400 | 404), "{path}: {} {}", reply.status, reply.text);
    }
    let upload = stage.begin(&build, "artifacts/a").await;
    assert_eq!(stage.send(&build, &upload, b"one").await.status, 204);
    for (field, value) in [
        ("upload", json!("../a")),
        ("upload", json!("c".repeat(32))),
        ("sha256", json!("0F".repeat(32))),
        ("sha256", json!("")),
        ("packing", json!("zip")),
        ("name", json!("../../etc/passwd")),
        ("name", json!("..")),
        ("name", json!("a\nb")),
        ("name", json!("x".repeat(256))),
        ("size", json!(-1)),
    ] {
        let mut wrong = told(&upload, b"one");
        wrong[field] = value.clone();
        refused(&stage.commit(&build, "artifacts/a", &wrong).await, 400);
    }
    for body in ["", "7", "{\"size\": \"x\"}"] {
        refused(&stage.ask(&build, "POST", "artifacts/b", body.into()).await, 400);
    }
    assert_eq!(stage.commit(&build, "artifacts/a", &told(&upload, b"one")).await.status, 201, "and it stays good");
}
