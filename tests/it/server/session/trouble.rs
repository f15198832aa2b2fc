//! Services that are down, and a commit that was taken back.

use serde_json::Value;

use super::{Story, refused, secret};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::http::Reply;

const DOWN: Fault = Fault::Text(500, "No cluster leader");

/// That the controller is told to come again, and of what kind the trouble is.
fn later(reply: &Reply, kind: &str) {
    refused(reply, 503);
    assert_eq!(reply.value()["type"], kind);
    assert!(reply.headers.contains_key("retry-after"));
}

#[tokio::test]
async fn a_commit_that_was_taken_back_gets_no_secrets() {
    let story = Story::new().await;
    story.world.forge.force_push("quentin/albatros", "main", &commit(9));
    let reply = story.exchange(&secret()).await;
    refused(&reply, 422);
    assert_eq!(reply.value()["type"], "urn:albatros:commit-gone");
    assert_eq!(story.record()["session"], Value::Null);
}

#[tokio::test]
async fn a_forge_that_is_down_is_waited_for() {
    let story = Story::new().await;
    story.world.forge.wire().down(true);
    later(&story.exchange(&secret()).await, "urn:albatros:forge");
    assert_eq!(story.record()["session"], Value::Null);
    story.world.forge.wire().down(false);
    assert_eq!(story.exchange(&secret()).await.status, 200);
}

/// Where there are no secrets to hand over, the forge is not asked.
#[tokio::test]
async fn an_untrusted_build_needs_no_forge() {
    let push = Delivery::push("main", &commit(1), &commit(2)).sender("mallory");
    let story = Story::of(&push, |_| {}).await;
    story.world.forge.wire().down(true);
    assert_eq!(story.exchange(&secret()).await.status, 200);
    story.world.forge.wire().down(false);
}

#[tokio::test]
async fn a_registry_that_is_down_is_waited_for() {
    let story = Story::new().await;
    let token = story.token();
    let claim = story.claim();
    story.world.consul.wire().down(true);
    later(&super::exchange(&story.serve, &token, &claim, &secret()).await, "about:blank");
    story.world.consul.wire().down(false);
    assert_eq!(story.exchange(&secret()).await.status, 200);
}

#[tokio::test]
async fn a_nomad_that_is_down_is_waited_for() {
    let (story, secret) = (Story::new().await, secret());
    for path in [".well-known", "/v1/allocation/", "/v1/job/"] {
        story.world.nomad.faults().arm("GET", path, Times::All, DOWN);
        later(&story.exchange(&secret).await, "about:blank");
        story.world.nomad.faults().clear();
        let mut reply = story.exchange(&secret).await;
        while reply.status == 503 {
            reply = story.exchange(&secret).await;
        }
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
}

/// Nomad says 500 to who may not read an allocation.
#[tokio::test]
async fn a_right_that_is_missing_is_told_in_the_log() {
    let story = Story::new().await;
    story.world.nomad.deny("read-job");
    later(&story.exchange(&secret()).await, "about:blank");
    story.serve.printed.wait("Unknown allocation").await;
}

#[tokio::test]
async fn an_answer_that_consul_loses_is_settled() {
    let story = Story::new().await;
    let secret = secret();
    let mut armed = story.world.consul.faults().arm("PUT", "/v1/txn", Times::Next(1), Fault::CutAfter);
    let reply = story.exchange(&secret).await;
    armed.hit(1).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(story.exchange(&secret).await.status, 200);
    refused(&story.exchange(&super::secret()).await, 409);
}

/// What was taken from the configuration since the dispatch is not given any more.
#[tokio::test]
async fn the_configuration_of_now_counts() {
    let story = Story::new().await;
    let (secret, mut config) = (secret(), story.world.config());
    config["inject"] = "NEW=1".into();
    story.world.put_config(&config);
    assert_eq!(story.exchange(&secret).await.value()["inject"], "NEW=1");
    config["broken"] = true.into();
    story.world.put_config(&config);
    later(&story.exchange(&secret).await, "about:blank");
}
