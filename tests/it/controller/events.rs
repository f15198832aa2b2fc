//! Events: told by the script, heard by everybody.

use serde_json::json;

use super::{Running, detail, given, open, start};

const JSON: &str = "POST /v1/events application/json";

/// Reads from a stream until these words have come.
async fn until(stream: &mut reqwest::Response, words: &str) -> String {
    let mut text = String::new();
    while !text.contains(words) {
        let piece = stream.chunk().await.unwrap();
        text.push_str(std::str::from_utf8(&piece.unwrap_or_else(|| panic!("ended with {text:?}"))).unwrap());
    }
    text
}

async fn listen(running: &Running) -> reqwest::Response {
    open(&running.trusted_socket(), Some(&running.trusted), "GET /v1/events", "").await
}

#[tokio::test]
async fn who_listens_hears_what_was_told_before_and_what_is_told_then() {
    let running = start(given(true)).await;
    running.as_script().event("step.begin", &json!({"name": "a\nb"})).await.unwrap();
    let mut stream = listen(&running).await;
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let first = until(&mut stream, "\n\n").await;
    assert_eq!(first, "id: 1\nevent: step.begin\ndata: {\"name\":\"a\\nb\"}\n\n");
    assert_eq!(running.script(JSON, r#"{"type":"x"}"#).await.value(), json!({"id": 2}));
    assert_eq!(until(&mut stream, "\n\n").await, "id: 2\nevent: x\ndata: null\n\n");
}

#[tokio::test]
async fn who_comes_back_goes_on_where_he_was_and_is_told_what_is_gone() {
    let running = start(given(true)).await;
    for _ in 0..300 {
        assert_eq!(running.script(JSON, r#"{"type":"x","data":1}"#).await.status, 200);
    }
    let mut stream = running.as_script().events(Some(299)).await.unwrap();
    assert_eq!(until(&mut stream, "\n\n").await, "id: 300\nevent: x\ndata: 1\n\n");
    let mut stream = running.as_script().events(Some(4)).await.unwrap();
    let text = until(&mut stream, "id: 300\n").await;
    assert!(text.starts_with("id: 44\nevent: albatros.gap\ndata: {\"missed\":40}\n\nid: 45\n"), "{text:.100}");
}

#[tokio::test]
async fn the_end_of_the_script_is_an_event_and_ends_its_own_streams() {
    let mut running = start(given(true)).await;
    let mut own = running.as_script().events(None).await.unwrap();
    let mut sidecar = listen(&running).await;
    running.as_script().finish(0).await.unwrap();
    assert!(until(&mut own, "\n\n").await.contains("event: albatros.finished\n"));
    assert!(own.chunk().await.unwrap().is_none());
    assert!(until(&mut sidecar, "\n\n").await.contains("event: albatros.finished\n"));
    running.end().await;
    assert!(sidecar.chunk().await.unwrap().is_none());
}

#[tokio::test]
async fn an_event_that_is_none_is_refused() {
    let running = start(given(true)).await;
    let long = format!(r#"{{"type":"x","data":"{}"}}"#, "a".repeat(4096));
    let longer = format!(r#"{{"type":"x","data":"{}"}}"#, "a".repeat(100_000));
    for (kind, body, status) in [
        ("application/json", r#"{"type":""}"#, 422),
        ("application/json", r#"{"type":"A"}"#, 422),
        ("application/json", r#"{"type":"a\nid: 7"}"#, 422),
        ("application/json", r#"{"type":"albatros.finished"}"#, 422),
        ("application/json", "{}", 400),
        ("application/json", "", 400),
        ("application/json", long.as_str(), 413),
        ("application/json", longer.as_str(), 413),
        ("text/plain", r#"{"type":"a"}"#, 415),
    ] {
        let refused = running.script(&format!("POST /v1/events {kind}"), body).await;
        assert_eq!(refused.status, status, "{body:.50}: {}", refused.text);
        detail(&refused);
    }
    let odd = running.as_script();
    assert_eq!(odd.events(None).await.unwrap().status(), 200);
}
