//! How jobs are stopped, and what is left of their logs.

use serde_json::json;

use super::{build, job, post, state};
use crate::fake::http::Reply;

#[tokio::test]
async fn a_job_is_stopped_on_its_own_and_what_needs_it_is_skipped() {
    let (serve, running) = build().await;
    post(&running, json!({"jobs": [job("a", &[]), job("b", &["a"])]})).await;
    serve.jobs.started("a").await;
    assert_eq!(running.script("DELETE /v1/jobs/a", "").await.status, 200);
    state(&running, "a", "cancelled").await;
    let skipped = state(&running, "b", "skipped").await;
    assert!(skipped["reason"].as_str().unwrap().contains("needs a"), "{skipped}");
    assert_eq!((serve.jobs.stops(), serve.jobs.names()), (vec!["a".to_owned()], vec!["a".to_owned()]));
}

#[tokio::test]
async fn everything_is_stopped_when_the_script_has_ended() {
    let (serve, running) = build().await;
    let service = json!({"name": "db", "command": ["x"], "service": true, "port": 5432});
    post(&running, json!({"jobs": [job("a", &[]), service, job("c", &["a"])]})).await;
    serve.jobs.started("a").await;
    serve.jobs.started("db").await;
    state(&running, "db", "claimed").await;
    running.as_script().finish(0).await.unwrap();
    let mut stops = serve.jobs.stops();
    stops.sort();
    assert_eq!(
        (stops, serve.jobs.names()),
        (vec!["a".to_owned(), "db".to_owned()], vec!["a".to_owned(), "db".to_owned()])
    );
}

#[tokio::test]
async fn a_job_may_end_the_rest() {
    let (serve, running) = build().await;
    let first = json!({"name": "a", "command": ["x"], "stop_rest": true});
    post(&running, json!({"jobs": [first, job("b", &[]), job("c", &["b"])]})).await;
    serve.jobs.started("a").await;
    serve.jobs.started("b").await;
    serve.jobs.end("a", "oom", Some(137));
    serve.jobs.stopped("b").await;
    state(&running, "b", "cancelled").await;
    state(&running, "c", "skipped").await;
}

#[tokio::test]
async fn a_log_streams_from_before_its_job_and_ends_with_it() {
    let (serve, running) = build().await;
    post(&running, json!({"jobs": [job("a", &[]), job("b", &["a"])]})).await;
    serve.jobs.started("a").await;
    let reading = running.reading("GET /v1/jobs/b/log");
    serve.jobs.end("a", "success", Some(0));
    serve.jobs.started("b").await;
    serve.jobs.say("b", "one\n");
    serve.jobs.say("b", "two\n");
    serve.jobs.end("b", "success", Some(0));
    assert_eq!(Reply::read(reading.await.unwrap()).await.text, "one\ntwo\n");
    assert_eq!(running.script("GET /v1/jobs/b/log?log=stderr", "").await.text, "");
    assert_eq!(running.script("GET /v1/jobs/b/log?log=both", "").await.status, 400);
}

#[tokio::test]
async fn a_log_that_breaks_off_goes_on_where_it_broke() {
    let (serve, running) = build().await;
    post(&running, job("a", &[])).await;
    serve.jobs.started("a").await;
    for piece in ["one\n", "", "two\n", "", "", "three\n"] {
        serve.jobs.say("a", piece);
    }
    assert_eq!(running.script("GET /v1/jobs/a/log?follow=false", "").await.text, "one\ntwo\nthree\n");
    serve.jobs.say("a", "");
    serve.jobs.end("a", "success", Some(0));
    assert_eq!(running.script("GET /v1/jobs/a/log", "").await.text, "one\ntwo\nthree\n");
}

#[tokio::test]
async fn the_log_of_a_job_that_never_runs_is_empty() {
    let (serve, running) = build().await;
    post(&running, json!({"jobs": [job("a", &[]), job("b", &["a"])]})).await;
    serve.jobs.started("a").await;
    serve.jobs.end("a", "lost", None);
    assert_eq!(running.script("GET /v1/jobs/b/log", "").await.text, "");
}
