//! What a script says of itself: told by its controller, shown with the build and in its status.

use serde_json::{Value, json};

use super::{Story, refused, secret};
use crate::fake::delivery::commit;
use crate::fake::fault::{Fault, Times};
use crate::fake::http::{Reply, client};
use crate::fake::world::{DONE, person};

const REPORTS: &str = "albatros-builds/report/";

async fn put(story: &Story, bearer: &str, claim: &str, body: impl Into<reqwest::Body>) -> Reply {
    let url = format!("{}/session/{claim}/report", story.serve.url);
    Reply::read(client().put(url).bearer_auth(bearer).body(body).send().await.unwrap()).await
}

fn sample(failed: u64) -> Value {
    let failures: Vec<Value> =
        (0..failed).map(|n| json!({"name": format!("suite t{n}"), "message": "1 != 2"})).collect();
    json!({"summary": "# All is\u{1b}[31m well\n", "tests": {"total": 214, "failed": failed, "skipped": 0, "failures": failures}})
}

/// A build with a session; its claim and the session's secret.
async fn begun() -> (Story, String, String) {
    let (story, secret) = (Story::new().await, secret());
    assert_eq!(story.exchange(&secret).await.status, 200);
    let claim = story.claim();
    (story, claim, secret)
}

#[tokio::test]
async fn a_report_is_shown_with_its_build_and_counted_in_its_status() {
    let (story, claim, secret) = begun().await;
    assert_eq!(put(&story, &secret, &claim, sample(0).to_string()).await.status, 204);
    assert_eq!(put(&story, &secret, &claim, sample(3).to_string()).await.status, 204, "whole, and again");
    let path = format!("/builds/{}", story.build);
    let shown = person(&story.serve, "GET", &path, None).await;
    for words in ["3 of 214 tests failed", "suite t2 1 != 2", "# All is[31m well"] {
        assert!(shown.text.contains(words), "{words}: {}", shown.text);
    }
    assert!(!shown.text.contains('\u{1b}'), "a terminal would obey it");
    story.world.nomad.run(&story.build);
    story.world.nomad.exit(&story.build, 1);
    story.world.all_done(1).await;
    let last = story.world.final_status(&commit(2)).description;
    assert!(last.starts_with("Failed with exit 1") && last.ends_with("3 of 214 tests failed"), "{last}");
    let json = client().get(format!("{}{path}", story.serve.url)).header("accept", "application/json");
    let ended = Reply::read(json.send().await.unwrap()).await.value();
    assert_eq!(ended["tests"], json!({"total": 214, "failed": 3, "skipped": 0}));
    assert_eq!(ended["report"]["tests"]["failures"][0]["name"], "suite t0");
    assert!(ended["reason"].as_str().unwrap().ends_with("3 of 214 tests failed"), "{ended}");
    refused(&put(&story, &secret, &claim, sample(0).to_string()).await, 410);
    assert_eq!(story.world.consul.records(DONE)[0].1["tests"]["failed"], 3, "nothing after the end");
}

#[tokio::test]
async fn the_verb_status_shows_it_too() {
    let (story, claim, secret) = begun().await;
    assert_eq!(put(&story, &secret, &claim, sample(2).to_string()).await.status, 204);
    let mut status = tokio::process::Command::new(env!("CARGO_BIN_EXE_albatros"));
    status.args(["status", &story.build]).env_clear().env("ALBATROS_URL", &story.serve.url).kill_on_drop(true);
    let said = String::from_utf8(status.output().await.unwrap().stdout).unwrap();
    for words in ["2 of 214 tests failed", "suite t1 1 != 2", "# All is[31m well"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[tokio::test]
async fn only_the_holder_of_the_session_reports() {
    let (story, claim, held) = begun().await;
    let other = secret();
    for bearer in [other.as_str(), &story.token(), "x", &held.to_uppercase()[..63]] {
        refused(&put(&story, bearer, &claim, sample(9).to_string()).await, 403);
    }
    for foreign in ["f".repeat(64), "x".to_owned()] {
        refused(&put(&story, &held, &foreign, sample(9).to_string()).await, 403);
    }
    let url = format!("{}/session/{claim}/report", story.serve.url);
    refused(&Reply::read(client().put(url).body(sample(9).to_string()).send().await.unwrap()).await, 401);
    assert!(story.world.consul.list(REPORTS).is_empty());
    assert_eq!(story.record()["tests"], Value::Null);
}

#[tokio::test]
async fn a_build_without_a_session_reports_nothing() {
    let story = Story::new().await;
    refused(&put(&story, &secret(), &story.claim(), sample(1).to_string()).await, 403);
}

#[tokio::test]
async fn what_is_no_report_or_too_large_is_refused() {
    let (story, claim, secret) = begun().await;
    for body in ["", "7", "{\"tests\": 7}", "\u{0}"] {
        refused(&put(&story, &secret, &claim, body).await, 400);
    }
    let large = json!({"summary": "x".repeat(64 * 1024)}).to_string();
    refused(&put(&story, &secret, &claim, large).await, 413);
    assert!(story.world.consul.list(REPORTS).is_empty());
}

#[tokio::test]
async fn a_report_whose_answer_consul_loses_is_kept_once() {
    let (story, claim, secret) = begun().await;
    let mut armed = story.world.consul.faults().arm("PUT", "/v1/txn", Times::Next(1), Fault::CutAfter);
    assert_eq!(put(&story, &secret, &claim, sample(2).to_string()).await.status, 204);
    armed.hit(1).await;
    assert_eq!(story.record()["tests"]["failed"], 2);
    story.world.consul.wire().down(true);
    refused(&put(&story, &secret, &claim, sample(3).to_string()).await, 503);
    story.world.consul.wire().down(false);
    assert_eq!(put(&story, &secret, &claim, sample(4).to_string()).await.status, 204);
}
