//! Artifacts and caches of a build: through its controller, by its verbs, and at its end.

mod end;
pub(super) mod store;
mod verbs;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::serve::FakeServe;
use super::{Running, detail, given, start};
use store::{At, Trouble};

const FILE: &str = "application/octet-stream";

#[tokio::test]
async fn a_file_is_kept_once_and_given_back_with_what_is_known_of_it() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    let put = running.script(&format!("PUT /v1/artifacts/app?name=a%20b.txt {FILE}"), "hello").await;
    assert_eq!((put.status, &put.value()["size"]), (201, &json!(5)), "{}", put.text);
    let got = running.script("GET /v1/artifacts/app", "").await;
    assert_eq!((got.status, got.text.as_str()), (200, "hello"));
    let sum = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    for (name, value) in [
        ("x-albatros-id", "app"),
        ("x-albatros-size", "5"),
        ("x-albatros-sha256", sum),
        ("x-albatros-packing", "file"),
        ("x-albatros-name", "a%20b.txt"),
        ("content-length", "5"),
        ("content-type", FILE),
    ] {
        assert_eq!(got.headers[name], value);
    }
    let again = running.script(&format!("PUT /v1/artifacts/app {FILE}"), "other").await;
    assert_eq!((again.status, detail(&again).as_str()), (409, "refused with 409"));
    let listed = running.script("GET /v1/artifacts", "").await.value();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!(serve.blobs.bytes("artifacts/app").unwrap(), b"hello");
}

#[tokio::test]
async fn a_cache_that_is_there_stays_as_it_is() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    for (body, status) in [("one", 201), ("two", 200)] {
        assert_eq!(running.script("PUT /v1/caches/k application/zstd", body).await.status, status);
    }
    assert_eq!(serve.blobs.bytes("caches/k").unwrap(), b"one");
    let got = running.trusted("GET /v1/caches/k?fallback=k-&fallback=j").await;
    assert_eq!((got.text.as_str(), got.headers["x-albatros-packing"].to_str().unwrap()), ("one", "archive"));
    assert_eq!(serve.blobs.calls().last().unwrap(), "GET caches/k?fallback=k-&fallback=j");
    assert_eq!(running.script("HEAD /v1/caches/k", "").await.headers["x-albatros-size"], "3");
    assert_eq!(running.script("GET /v1/caches/other", "").await.status, 404);
}

#[tokio::test]
async fn with_signed_addresses_nothing_goes_through_serve_and_every_size_is_known() {
    let serve = FakeServe::start(&[]).await;
    serve.blobs.sign(&serve.url());
    let running = start(serve.source()).await;
    assert_eq!(running.script(&format!("PUT /v1/artifacts/known {FILE}"), "hello").await.status, 201);
    // Chunked: it waits on the disk until its size is known.
    let mut stream = raw(&running, "PUT /v1/artifacts/unknown", "Transfer-Encoding: chunked").await;
    stream.write_all(b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 201"));
    assert_eq!(serve.blobs.bytes("artifacts/unknown").unwrap(), b"hello world");
    assert_eq!(running.script("GET /v1/artifacts/unknown", "").await.text, "hello world");
    assert!(!serve.blobs.calls().iter().any(|call| call.starts_with("send")));
}

#[tokio::test]
async fn what_breaks_off_leaves_nothing() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    for (header, part) in [("Transfer-Encoding: chunked", "5\r\nhello\r\n"), ("Content-Length: 500", "hello")] {
        let mut stream = raw(&running, "PUT /v1/artifacts/half", header).await;
        stream.write_all(part.as_bytes()).await.unwrap();
        serve.blobs.called("send").await;
        drop(stream);
        serve.blobs.called("cut").await;
    }
    assert!(serve.blobs.is_empty());
    assert!(!serve.blobs.calls().iter().any(|call| call.starts_with("commit")));
}

#[tokio::test]
async fn too_large_is_refused_announced_or_not() {
    let serve = FakeServe::start(&[]).await;
    serve.blobs.most(10);
    let running = start(serve.source()).await;
    let refused = running.script(&format!("PUT /v1/artifacts/a {FILE}"), "hello world").await;
    assert_eq!((refused.status, detail(&refused).as_str()), (413, "a is larger than 10 bytes"));
    let mut stream = raw(&running, "PUT /v1/artifacts/a", "Transfer-Encoding: chunked").await;
    stream.write_all(b"b\r\nhello world\r\n0\r\n\r\n").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 413"));
    assert!(serve.blobs.is_empty());
}

#[tokio::test]
async fn no_store_and_no_session_are_told_apart() {
    let serve = FakeServe::start(&[]).await;
    serve.blobs.keep_nothing();
    let running = start(serve.source()).await;
    let refused = running.script(&format!("PUT /v1/artifacts/a {FILE}"), "x").await;
    assert_eq!((refused.status, &refused.value()["type"]), (404, &Value::from("urn:albatros:no-store")));
    let alone = start(given(true)).await;
    for line in ["PUT /v1/artifacts/a text/plain", "GET /v1/artifacts", "GET /v1/caches/k", "POST /v1/saves text/x"] {
        let refused = alone.script(line, "x").await;
        assert_eq!(refused.status, 403, "{line}");
        assert!(detail(&refused).contains("nothing from serve"));
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_serve_is_asked() {
    let serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    for line in [
        "PUT /v1/artifacts/..%2Fx text/plain",
        "PUT /v1/artifacts/a%00 text/plain",
        "PUT /v1/artifacts/-x text/plain",
        "PUT /v1/artifacts/a?name=a%2Fb text/plain",
        "GET /v1/artifacts/a?from=yesterday",
        "GET /v1/caches/a?fallback=..",
    ] {
        assert_eq!(running.script(line, "x").await.status, 422, "{line}");
    }
    assert_eq!(running.script("GET /v1/caches/a?from=latest-green", "").await.status, 400);
    assert!(serve.blobs.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_serve_that_is_gone_is_waiting_and_a_lost_commit_is_asked_for_again() {
    let mut serve = FakeServe::start(&[]).await;
    let running = start(serve.source()).await;
    for status in [503, 500] {
        serve.blobs.trouble(Trouble { at: At::Commit, status, done: status == 500 });
    }
    assert_eq!(running.script(&format!("PUT /v1/artifacts/a {FILE}"), "hello").await.status, 201);
    assert_eq!(serve.blobs.calls().iter().filter(|call| call.starts_with("commit")).count(), 3);
    serve.down();
    let waiting = running.script(&format!("PUT /v1/artifacts/b {FILE}"), "hello").await;
    assert_eq!((waiting.status, waiting.headers.contains_key("retry-after")), (503, true));
    assert_eq!(detail(&waiting), "serve does not answer: try again");
}

/// A connection on which a request has begun.
async fn raw(running: &Running, line: &str, header: &str) -> tokio::net::UnixStream {
    let mut stream = tokio::net::UnixStream::connect(running.socket()).await.unwrap();
    let head = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: {FILE}\r\n{header}\r\n\r\n",
        running.script
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn answer(stream: &mut tokio::net::UnixStream) -> String {
    let mut bytes = vec![0; 200];
    let read = stream.read(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes[..read]).into_owned()
}
