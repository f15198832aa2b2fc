//! Who gets none: 401 for a token that does not hold, 403 for one of somebody else.

use serde_json::{Value, json};

use super::{Story, exchange, post, refused, secret};
use crate::fake::delivery::commit;
use crate::fake::http::send;
use crate::fake::nomad::Builder;
use crate::fake::world::SECRET;

/// The right claims of the build's controller, but for one.
fn with(story: &Story, name: &str, value: Value) -> Value {
    let mut claims = story.claims();
    claims[name] = value;
    claims
}

/// That nobody got anything.
fn untouched(story: &Story) {
    assert_eq!(story.record()["session"], Value::Null);
}

#[tokio::test]
async fn tokens_that_do_not_hold() {
    let story = Story::new().await;
    let now = jiff::Timestamp::now().as_second();
    let nomad = &story.world.nomad;
    let mut endless = story.claims();
    endless.as_object_mut().unwrap().remove("exp");
    let right = story.token();
    let (head, signature) = right.rsplit_once('.').unwrap();
    let of_another = nomad.sign(&with(&story, "sub", json!("x")));
    let tokens = [
        nomad.sign(&with(&story, "exp", json!(now - 60))),
        nomad.sign(&with(&story, "nbf", json!(now + 600))),
        nomad.sign(&endless),
        nomad.sign(&with(&story, "aud", json!("nomadproject.io"))),
        nomad.sign(&with(&story, "aud", json!([]))),
        nomad.forge_with_public_key(&story.claims()),
        nomad.forge_without_signature(&story.claims()),
        format!("{head}."),
        format!("{head}.{}", of_another.rsplit('.').next().unwrap()),
        signature.to_owned(),
        SECRET.to_owned(),
    ];
    for token in &tokens {
        refused(&story.exchange_with(token).await, 401);
    }
    untouched(&story);
    assert_eq!(story.exchange(&secret()).await.status, 200, "the right one still can");
}

#[tokio::test]
async fn no_token_at_all() {
    let story = Story::new().await;
    let body = json!({"claim": story.claim(), "secret": secret()}).to_string();
    refused(&send(&story.serve.url, "POST", "/session", Some(&body)).await, 401);
    let query = format!("/session?token={}", story.token());
    refused(&send(&story.serve.url, "POST", &query, Some(&body)).await, 401);
}

#[tokio::test]
async fn real_tokens_of_others() {
    let story = Story::new().await;
    let cases = [
        ("another task's", with(&story, "sub", json!("global:ci:builder:runner:executor:albatros"))),
        ("the sidecar's", with(&story, "sub", json!("global:ci:builder:runner:sidecar:albatros"))),
        ("another identity's", with(&story, "sub", json!("global:ci:builder:runner:controller:vault"))),
        ("another group's", with(&story, "sub", json!("global:ci:builder:side:controller:albatros"))),
        ("another namespace's", with(&story, "sub", json!("global:other:builder:runner:controller:albatros"))),
        ("another region's", with(&story, "sub", json!("eu:ci:builder:runner:controller:albatros"))),
        ("of no allocation", with(&story, "nomad_allocation_id", json!(crate::fake::uuid()))),
        ("of a broken allocation", with(&story, "nomad_allocation_id", json!("../jobs"))),
        ("contradicting itself", with(&story, "nomad_namespace", json!("other"))),
    ];
    for (what, claims) in cases {
        let token = story.world.nomad.sign(&claims);
        let reply = story.exchange_with(&token).await;
        assert_eq!(reply.status, 403, "{what}: {}", reply.text);
        refused(&reply, 403);
    }
    untouched(&story);
}

/// Whoever may dispatch can give its child any meta.
#[tokio::test]
async fn a_child_that_was_dispatched_by_hand() {
    let story = Story::new().await;
    let meta = story.world.nomad.job(&story.build)["Meta"].clone();
    let hand = story.world.nomad.dispatch_as_stranger("builder", "by-hand", &meta);
    story.world.nomad.place(&hand);
    let token = story.world.nomad.sign(&story.world.nomad.claims(&hand));
    refused(&exchange(&story.serve, &token, &story.claim(), &secret()).await, 403);
    for claim in ["", "x", "../..", &"f".repeat(64), &"é".repeat(3000)[..1000]] {
        refused(&exchange(&story.serve, &token, claim, &secret()).await, 403);
    }
    untouched(&story);
}

#[tokio::test]
async fn a_build_with_the_claim_of_another() {
    let story = Story::new().await;
    let other = story.world.build(&story.serve, "main", &commit(2), &commit(3)).await;
    story.world.nomad.place(&other);
    let token = story.world.nomad.sign(&story.world.nomad.claims(&other));
    let reply = exchange(&story.serve, &token, &story.claim(), &secret()).await;
    refused(&reply, 403);
    assert!(reply.text.contains("another child"), "{}", reply.text);
    assert!(story.world.open().iter().all(|(_, record)| record["session"].is_null()));
}

/// Nomad knows jobs by namespace and name, and answers for allocations of any namespace.
#[tokio::test]
async fn a_job_of_the_same_name_in_another_namespace() {
    let story = Story::new().await;
    story.world.nomad.register(&Builder::full("team/builder").namespace("other"));
    let meta = story.world.nomad.job(&story.build)["Meta"].clone();
    let foreign = story.world.nomad.dispatch_as_stranger("team/builder", "foreign", &meta);
    story.world.nomad.place(&foreign);
    let honest = story.world.nomad.claims(&foreign);
    let mut lying = story.claims();
    lying["nomad_allocation_id"] = honest["nomad_allocation_id"].clone();
    for claims in [honest, lying] {
        refused(&story.exchange_with(&story.world.nomad.sign(&claims)).await, 403);
    }
    untouched(&story);
}

#[tokio::test]
async fn bodies_that_are_none() {
    let story = Story::new().await;
    let token = story.token();
    let (claim, good) = (story.claim(), secret());
    for secret in ["", "short", &good[..63], &"g".repeat(64), &"a".repeat(128)] {
        refused(&exchange(&story.serve, &token, &claim, secret).await, 400);
    }
    for body in ["", "[]", "{", &json!({"claim": claim}).to_string(), &json!({"secret": good}).to_string()] {
        refused(&post(&story.serve, &token, body.to_owned()).await, 400);
    }
    let large = json!({"claim": claim, "secret": good, "more": "x".repeat(5_000)}).to_string();
    refused(&post(&story.serve, &token, large).await, 413);
    untouched(&story);
}
