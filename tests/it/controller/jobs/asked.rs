//! What is taken and what is refused, and how far jobs are.

use serde_json::json;

use super::super::{detail, given, start};
use super::{build, job, post, seen, state};

#[tokio::test]
async fn jobs_are_started_when_what_they_need_has_succeeded() {
    let (serve, running) = build().await;
    let reply = post(&running, json!({"jobs": [job("b", &["a"]), job("a", &[])]})).await;
    assert_eq!((reply.status, reply.value()["jobs"][0]["state"].as_str()), (201, Some("waiting")));
    serve.jobs.started("a").await;
    state(&running, "a", "claimed").await;
    assert_eq!(serve.jobs.names(), ["a"]);
    serve.jobs.end("a", "success", Some(0));
    serve.jobs.started("b").await;
    serve.jobs.end("b", "failure", Some(7));
    let ended = state(&running, "b", "failure").await;
    assert_eq!((&ended["exit_code"], &ended["success"], &ended["ended"]), (&json!(7), &json!(false), &json!(true)));
}

#[tokio::test]
async fn everything_that_is_wrong_is_named_and_nothing_is_started() {
    let (serve, running) = build().await;
    let wrong = json!({"jobs": [job("a", &["b"]), job("b", &["a"]), job("c", &["nowhere"]), job("c", &[])]});
    let reply = post(&running, wrong).await;
    let said = detail(&reply);
    assert_eq!(reply.status, 422);
    for words in ["a → b → a", "nowhere", "job c: its name is used twice"] {
        assert!(said.contains(words), "{words} in {said}");
    }
    for (body, status, words) in [
        ("{}", 422, "name"),
        (r#"{"name": "a", "comand": []}"#, 422, "comand"),
        (r#"{"jobs": [{"name": "a/b"}]}"#, 422, "expected 1 to 64"),
        (r#"{"jobs": [], "x": 1}"#, 422, "x"),
        ("[]", 422, "job"),
        ("{", 422, "EOF"),
    ] {
        let reply = running.script("POST /v1/jobs application/json", body).await;
        assert!(reply.status == status && detail(&reply).contains(words), "{body}: {reply:?}");
    }
    let large = json!({"name": "a", "script": "x".repeat(2 << 20)});
    assert_eq!(post(&running, large).await.status, 413);
    assert_eq!(running.script("GET /v1/jobs", "").await.value(), json!({"version": 0, "jobs": []}));
    assert_eq!(serve.jobs.puts(), 0);
}

#[tokio::test]
async fn a_parameters_value_has_no_place_in_a_job() {
    let (serve, running) = build().await;
    let secret = "long-s3cr3t";
    for body in [
        json!({"name": "a", "env": {"X": format!("a{secret}b")}}),
        json!({"name": "a", "command": ["x", secret]}),
        json!({"name": "a", "script": format!("echo {secret}")}),
    ] {
        let reply = post(&running, body).await;
        let said = detail(&reply);
        assert!(reply.status == 422 && said.contains("params: [\"LONG\"]") && !said.contains(secret), "{said}");
    }
    // Short ones are found everywhere.
    assert_eq!(post(&running, json!({"name": "a", "command": ["xx"], "params": ["LONG"]})).await.status, 201);
    assert_eq!(serve.jobs.started("a").await["params"], json!(["LONG"]));
}

#[tokio::test]
async fn a_job_that_is_sent_again_is_the_same_job() {
    let (serve, running) = build().await;
    for _ in 0..3 {
        assert_eq!(post(&running, job("a", &[])).await.status, 201);
    }
    serve.jobs.started("a").await;
    assert_eq!(post(&running, json!({"name": "a", "command": ["false"]})).await.status, 422);
    state(&running, "a", "claimed").await;
    assert_eq!(serve.jobs.puts(), 1);
}

#[tokio::test]
async fn a_server_that_is_away_is_waited_for() {
    let (mut serve, running) = build().await;
    running.script("GET /v1/params", "").await;
    serve.down();
    post(&running, job("a", &[])).await;
    let waits = seen(&running, "a", |job| job["state"] == "starting" && job["reason"].is_string()).await;
    assert!(waits["reason"].as_str().unwrap().contains("does not answer"), "{waits}");
    serve.jobs.refuse(&[503, 429]);
    serve.up().await;
    serve.jobs.started("a").await;
    serve.jobs.end("a", "success", Some(0));
    state(&running, "a", "success").await;
}

#[tokio::test]
async fn a_job_that_serve_refuses_has_failed_with_its_words() {
    let (serve, running) = build().await;
    serve.jobs.refuse(&[422]);
    post(&running, json!({"jobs": [job("a", &[]), job("b", &["a"])]})).await;
    let ended = state(&running, "a", "infra").await;
    assert_eq!((&ended["reason"], &ended["success"]), (&json!("refused with 422"), &json!(false)));
    state(&running, "b", "skipped").await;
}

#[tokio::test]
async fn a_build_without_a_session_has_no_jobs_and_says_why() {
    let running = start(given(true)).await;
    let reply = post(&running, job("a", &[])).await;
    assert!(reply.status == 403 && detail(&reply).contains("serve"), "{reply:?}");
    assert_eq!(running.script("GET /v1/job", "").await.status, 404);
    assert_eq!(running.trusted("GET /v1/jobs").await.status, 403);
    for line in ["GET /v1/jobs/a", "DELETE /v1/jobs/a", "GET /v1/jobs/a/log", "GET /v1/jobs/.x"] {
        assert_eq!(running.script(line, "").await.status, 404, "{line}");
    }
}
