//! From nothing to a webhook that was tried.

use serde_json::json;

use super::{INJECTED, NAME, Place, key};
use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::forge::Right;
use crate::fake::world::FORGE;

#[tokio::test]
async fn a_repository_is_registered_tried_and_built() {
    let (place, serve) = Place::with_server().await;
    let inject = place.file("inject");
    let added = place
        .run(&place.add(&["--trusted", "quentin", "@trigger", "--inject-file", &inject, "--flavor", "big=builder-big"]))
        .await;
    added.ends(0, "test       arrived, signed right: push of gitea");
    let (at, entry) = place.entry();
    assert_eq!(at, key(REPO));
    let token = entry["tokens"]["act"][0].as_str().unwrap();
    assert!(added.out.contains(&format!("token      {token} ")), "{added:?}");
    assert_eq!(entry["gitea"], json!({"url": place.world.forge.url(), "token": FORGE}));
    assert_eq!(entry["trusted"]["senders"], json!([{"login": "quentin", "id": 1}, "@trigger"]));
    assert_eq!((&entry["inject"], &entry["builders"]["flavors"]["big"]), (&json!(INJECTED), &json!("builder-big")));
    let [hook] = place.world.forge.hooks().try_into().unwrap();
    assert_eq!((hook.url, hook.active), (format!("{}/hook", serve.url), true));
    assert_eq!(hook.events.into_iter().collect::<Vec<_>>(), ["pull_request", "pull_request_sync", "push"]);
    assert_eq!(hook.secret, place.secret());
    assert_eq!(hook.secret.len(), 64);
    // What arrived was a test only; a push is built.
    assert_eq!(place.world.nomad.dispatches(), 0);
    let reply = Delivery::push("main", &commit(1), &commit(2)).send(&serve.url, &hook.secret).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    place.world.nomad.wait("a build", || place.world.nomad.dispatches() == 1).await;
}

#[tokio::test]
async fn run_again_it_changes_nothing_but_the_webhook_is_sound_again() {
    let (place, _serve) = Place::with_server().await;
    place.run(&place.add(&["--trusted", "quentin"])).await.ends(0, "entry      written");
    let before = place.entry();
    place.world.forge.edit_hooks(|hook| {
        hook.secret = "another".to_owned();
        hook.active = false;
    });
    let again = place.run(&place.add(&["--trusted", "quentin"])).await;
    again.ends(0, "entry      as it was");
    assert!(!again.out.contains("token "), "{again:?}");
    assert_eq!(place.entry(), before);
    let [hook] = place.world.forge.hooks().try_into().unwrap();
    assert!(hook.active && hook.secret == place.secret());
}

#[tokio::test]
async fn github_s_webhook_is_changed_in_place_and_pinged() {
    let (place, serve) = Place::with_server().await;
    place.run(&place.add_at("github", &["--trusted", "lx"])).await.ends(0, "arrived, signed right: ping of github");
    let [first] = place.world.forge.hooks().try_into().unwrap();
    assert_eq!(first.url, format!("{}/hook", serve.url));
    place.world.forge.edit_hooks(|hook| hook.secret = "another".to_owned());
    place.run(&place.add_at("github", &[])).await.ends(0, "made anew");
    let [second] = place.world.forge.hooks().try_into().unwrap();
    assert_eq!((second.id, second.secret), (first.id, place.secret()));
    assert_eq!(place.entry().1["github"]["token"], FORGE);
    assert_eq!(place.runs(&["check", REPO, "--json"]).await.found(), Vec::<String>::new());
}

#[tokio::test]
async fn what_forge_it_is_is_asked_of_its_host_and_its_spelling_counts() {
    let (place, _serve) = Place::with_server().await;
    let typed = format!("{}/Quentin/albatros", place.world.forge.url()).replace("Quentin", "quentin");
    let token = place.file("token");
    let added = place.runs(&["add", &typed, "--token-file", &token]).await;
    added.ends(0, &format!("the forge calls it {REPO}, and so does the entry"));
    assert_eq!(place.entry().0, key(REPO));
    assert_eq!(place.entry().1["gitea"]["url"], place.world.forge.url());
}

#[tokio::test]
async fn who_is_not_known_is_not_trusted_and_nothing_is_written() {
    let (place, _serve) = Place::with_server().await;
    place.run(&place.add(&["--trusted", "quentn"])).await.ends(2, "the forge knows no account quentn");
    assert!(place.world.consul.list("albatros/").is_empty() && place.world.forge.hooks().is_empty());
}

#[tokio::test]
async fn a_plan_is_told_without_secrets_and_nothing_is_written() {
    let (place, _serve) = Place::with_server().await;
    let inject = place.file("inject");
    let plan = place.run(&place.add(&["--dry-run", "--inject-file", &inject, "--json"])).await;
    plan.ends(0, "(secret)");
    assert_eq!(plan.json()["entry"]["hook"]["secret"], "(secret)");
    assert!(place.world.consul.list("albatros/").is_empty() && place.world.forge.hooks().is_empty());
}

#[tokio::test]
async fn a_webhook_that_is_made_by_hand_gets_the_secret_that_is_shown() {
    let place = Place::new().await;
    let added = place.runs(&["add", REPO, "--no-webhook", "--json"]).await;
    added.ends(0, "");
    assert_eq!(added.json()["secret"], place.secret());
    assert!(place.world.forge.wire().seen().is_empty());
    // From a file it is known already.
    std::fs::write(place.file("secret"), "known-to-the-operator").unwrap();
    place.world.consul.remove(&key(REPO));
    let added = place.runs(&["add", REPO, "--no-webhook", "--secret-file", &place.file("secret")]).await;
    added.ends(0, "entry      written");
    assert!(!added.out.contains("known-to"), "{added:?}");
    assert_eq!(place.secret(), "known-to-the-operator");
}

#[tokio::test]
async fn a_repository_without_commits_is_registered_and_told() {
    let (place, _serve) = Place::with_server().await;
    place.world.forge.repository("quentin/new");
    let (forge, token) = (place.world.forge.url(), place.file("token"));
    let url = "http://127.0.0.1:3300/quentin/new.git";
    let verb = ["add", url, "--forge", "gitea", "--forge-url", &forge, "--token-file", &token];
    place.runs(&verb).await.ends(0, "no commits yet");
    assert_eq!(place.world.forge.hooks().len(), 1);
}

#[tokio::test]
async fn a_token_that_may_not_make_webhooks_leaves_the_entry_and_another_goes_on() {
    let (place, _serve) = Place::with_server().await;
    let weak = place.token("weak-t0ken-of-lx", Right::Statuses);
    let forge = place.world.forge.url();
    let with = |token: &str| {
        ["add", REPO, "--forge", "gitea", "--forge-url", &forge, "--token-file", token].map(str::to_owned).to_vec()
    };
    let added = place.run(&with(&weak)).await;
    added.ends(1, "the forge's token lacks a right");
    added.ends(1, "write:repository");
    assert!(place.world.forge.hooks().is_empty());
    let secret = place.secret();
    place.run(&with(&place.file("token"))).await.ends(2, "--update");
    let mut update = with(&place.file("token"));
    update.push("--update".to_owned());
    place.run(&update).await.ends(0, "test       arrived");
    assert_eq!((place.secret(), place.entry().1["gitea"]["token"].as_str()), (secret, Some(FORGE)));
    assert_eq!(place.world.forge.hooks().len(), 1);
    assert!(place.world.forge.hooks().iter().all(|hook| hook.repo == NAME));
}
