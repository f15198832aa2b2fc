//! What the build's own controller gets, and how often.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Story, exchange, named, refused, secret};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::nomad::KEYS;
use crate::fake::world::{ACTOR, FORGE, INJECT, SECRET, person};

#[tokio::test]
async fn a_trusted_build_gets_its_parameters() {
    let story = Story::new().await;
    let secret = secret();
    let reply = story.exchange(&secret).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.headers["cache-control"], "no-store");
    let grant = reply.value();
    assert_eq!(grant["inject"], INJECT);
    assert_eq!(grant["build"]["trusted"], true);
    assert_eq!(grant["build"]["commit"], commit(2));
    assert_eq!(grant["build"]["ref"], "refs/heads/main");
    assert_eq!(grant["build"]["sender"], "quentin");
    assert_eq!(
        grant["checkout"],
        json!({"source": true, "submodules": false, "lfs": false}),
        "the repository is on another host"
    );
    assert_eq!(story.record()["session"], hex::encode(Sha256::digest(&secret)), "the hash, never the secret");
    let job = story.world.nomad.job(&story.build);
    assert!(job["Payload"].is_null(), "no secrets go with the dispatch: {}", job["Payload"]);
}

/// The answer may have been lost on its way.
#[tokio::test]
async fn the_same_secret_is_answered_again_and_another_is_not() {
    let story = Story::new().await;
    let secret = secret();
    let first = story.exchange(&secret).await;
    let again = story.exchange(&secret).await;
    assert_eq!((again.status, again.text), (200, first.text));
    refused(&story.exchange(&super::secret()).await, 409);
    let told = story.serve.printed.wait("another secret").await;
    let is_audit = told.contains("albatros::audit") && told.contains("verdict=\"refused\"");
    assert!(is_audit && told.contains(&story.claim()), "an audit line: {told}");
    assert_eq!(story.exchange(&secret).await.status, 200, "and the first one stays good");
}

#[tokio::test]
async fn of_two_at_once_one_gets_the_session() {
    let story = Story::new().await;
    let other = story.world.serve().await;
    let (token, claim) = (story.token(), story.claim());
    let secrets: Vec<String> = (0..8).map(|_| secret()).collect();
    let asked = secrets.iter().enumerate().map(|(n, secret)| {
        let serve = if n % 2 == 0 { &story.serve } else { &other };
        exchange(serve, &token, &claim, secret)
    });
    let replies = futures_util::future::join_all(asked).await;
    let won: Vec<usize> = (0..replies.len()).filter(|n| replies[*n].status == 200).collect();
    assert_eq!(won.len(), 1, "{replies:?}");
    assert_eq!(replies.iter().filter(|reply| reply.status == 409).count(), 7, "{replies:?}");
    for serve in [&story.serve, &other] {
        assert_eq!(exchange(serve, &token, &claim, &secrets[won[0]]).await.status, 200, "either replica knows it");
    }
}

#[tokio::test]
async fn an_untrusted_build_gets_no_parameters() {
    let push = Delivery::push("main", &commit(1), &commit(2)).sender("mallory");
    let story = Story::of(&push, |_| {}).await;
    let reply = story.exchange(&secret()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.value()["build"]["trusted"], false);
    assert_eq!(reply.value()["inject"], Value::Null);
    assert!(!reply.text.contains(INJECT));
}

/// `prepare` fetches it; the script never sees the token.
#[tokio::test]
async fn a_fork_s_pull_request_gets_the_forge_s_token_for_its_checkout_alone() {
    let world = crate::fake::world::World::new().await;
    world.nomad.register(&crate::fake::nomad::Builder::full("builder"));
    let repo = format!("{}/quentin/albatros.git", world.forge.url());
    let mut config = world.config();
    config["pull_requests"] = "build".into();
    config["submodules"] = true.into();
    world.consul.put_repo("albatros", &repo, &config);
    let serve = world.serve().await;
    world.forge.commit("quentin/albatros", &commit(2));
    let reply = Delivery::pull(3, &commit(2)).repo(&repo).send(&serve.url, SECRET).await;
    assert!(matches!(reply.status, 200 | 202), "{}", reply.text);
    let build = world.nomad.child("builder", 1).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    let claim = world.nomad.job(&build)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned();
    let reply = exchange(&serve, &world.nomad.sign(&world.nomad.claims(&build)), &claim, &secret()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let grant = reply.value();
    assert_eq!((&grant["build"]["trusted"], &grant["inject"]), (&json!(false), &Value::Null));
    let credential = &grant["checkout"]["credential"];
    assert_eq!((&credential["password"], &credential["scope"]), (&json!(FORGE), &json!(repo)));
}

/// Nomad has no child yet under the record, as far as the registry knows.
#[tokio::test]
async fn a_controller_that_is_faster_than_the_record_waits() {
    let story = Story::new().await;
    let (key, mut record) = story.world.open()[0].clone();
    record["phase"] = json!({"is": "claimed"});
    record.as_object_mut().unwrap().remove("build");
    let key = format!("{}{key}", crate::fake::world::OPEN);
    story.serve.freeze();
    story.world.consul.put(&key, record.to_string());
    let faults = story.world.nomad.faults();
    faults.arm(
        "*",
        "/dispatch",
        crate::fake::fault::Times::All,
        crate::fake::fault::Fault::Text(500, "No cluster leader"),
    );
    story.serve.thaw();
    let waits = story.exchange(&secret()).await;
    refused(&waits, 503);
    assert!(waits.headers.contains_key("retry-after"));
    faults.clear();
    named(&story.world, &story.build).await;
    assert_eq!(story.exchange(&secret()).await.status, 200);
}

#[tokio::test]
async fn nomads_keys_are_kept_and_a_new_one_is_found() {
    let story = Story::new().await;
    let reads = || story.world.nomad.wire().seen().iter().filter(|seen| seen.path.starts_with(KEYS)).count();
    let secret = secret();
    for _ in 0..5 {
        assert_eq!(story.exchange(&secret).await.status, 200);
    }
    assert_eq!(reads(), 1);
    story.world.nomad.rotate_keys();
    let mut reply = story.exchange(&secret).await;
    while reply.status == 503 {
        reply = story.exchange(&secret).await;
    }
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reads(), 2, "asked again, and not in vain");
}

#[tokio::test]
async fn after_the_end_there_is_no_session() {
    let story = Story::new().await;
    let (secret, token, claim) = (secret(), story.token(), story.claim());
    assert_eq!(story.exchange(&secret).await.status, 200);
    story.world.nomad.run(&story.build);
    story.world.nomad.exit(&story.build, 0);
    story.world.all_done(1).await;
    refused(&exchange(&story.serve, &token, &claim, &secret).await, 410);
}

/// Nomad is told to stop it first; the record says so only when it has.
#[tokio::test]
async fn a_build_that_is_being_stopped_gets_no_session() {
    let story = Story::new().await;
    story.world.nomad.stubborn(true);
    story.world.nomad.run(&story.build);
    let (token, claim) = (story.token(), story.claim());
    let cancelled = person(&story.serve, "DELETE", &format!("/builds/{}", story.build), Some(ACTOR)).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    refused(&exchange(&story.serve, &token, &claim, &secret()).await, 403);
}
