//! What a script reads of its parameters.

use albatros::controller::Source;
use albatros::domain::secret::Secret;
use serde_json::json;

use super::{INJECT, detail, given, grant, start};

#[tokio::test]
async fn a_trusted_script_reads_its_parameters_in_each_form() {
    let running = start(given(true)).await;
    assert_eq!(running.script("GET /v1/params", "").await.value(), json!({"SECRET1": "xx", "SECRET2": "y y"}));
    let one = running.script("GET /v1/params/SECRET2", "").await;
    assert_eq!((one.status, one.text.as_str()), (200, "y y"));
    assert!(one.headers["content-type"].to_str().unwrap().starts_with("text/plain"));
    assert_eq!(running.script("GET /v1/params/SECRET3", "").await.status, 404);
    assert_eq!(running.as_script().raw_params().await.unwrap().unwrap().expose(), INJECT);
}

#[tokio::test]
async fn an_untrusted_script_is_refused_and_told_why() {
    let mut untrusted = grant(false);
    // Even if a server gave them all the same.
    untrusted.inject = Some(Secret::new(INJECT));
    let running = start(Source::Given { grant: Box::new(untrusted), server: None }).await;
    for line in ["GET /v1/params", "GET /v1/params/SECRET1"] {
        let refused = running.script(line, "").await;
        assert_eq!(refused.status, 403);
        assert!(detail(&refused).contains("not trusted"), "{}", refused.text);
        assert!(!refused.text.contains("xx"));
    }
    assert!(running.as_script().raw_params().await.unwrap().is_none());
}

#[tokio::test]
async fn a_script_without_a_session_is_told_why() {
    let running = start(Source::Nowhere("it was dispatched by hand".to_owned())).await;
    let refused = running.script("GET /v1/params", "").await;
    assert_eq!(refused.status, 403);
    assert!(detail(&refused).contains("it was dispatched by hand"));
    assert!(running.as_script().raw_params().await.unwrap().is_none());
}

#[tokio::test]
async fn a_repository_without_parameters_has_none() {
    let mut bare = grant(true);
    bare.inject = None;
    let running = start(Source::Given { grant: Box::new(bare), server: None }).await;
    assert_eq!(running.script("GET /v1/params", "").await.value(), json!({}));
    assert!(running.as_script().raw_params().await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_no_env_file_is_read_as_it_is_and_told_by_its_line_without_its_words() {
    let mut odd = grant(true);
    odd.inject = Some(Secret::new("A=1\nif true; then s3cr3t; fi\n"));
    let running = start(Source::Given { grant: Box::new(odd), server: None }).await;
    for line in ["GET /v1/params", "GET /v1/params/A"] {
        let refused = running.script(line, "").await;
        assert_eq!(refused.status, 422);
        assert!(detail(&refused).contains("line 2") && !refused.text.contains("s3cr3t"), "{}", refused.text);
    }
    assert!(running.as_script().raw_params().await.unwrap().unwrap().expose().contains("s3cr3t"));
}
