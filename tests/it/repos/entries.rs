//! Entries that are there already: shown, listed, moved, removed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{Place, key};
use crate::fake::delivery::REPO;

const OTHER: &str = "http://127.0.0.1:3300/Quentin/Albatros";

#[tokio::test]
async fn an_entry_under_another_spelling_or_encoding_is_not_overlooked_and_is_moved() {
    let (place, _serve) = Place::with_server().await;
    let entry = json!({"hook": {"secret": "0123456789abcdef-hidden"}, "timeout": "2h"});
    for name in [STANDARD.encode(OTHER), URL_SAFE_NO_PAD.encode(OTHER), URL_SAFE_NO_PAD.encode(REPO)] {
        let name = format!("albatros/{name}");
        place.world.consul.put(&name, entry.to_string());
        place.run(&place.add(&[])).await.ends(2, "there is an entry already");
        assert_eq!(place.entry().0, name, "and is left as it is");
        place.run(&place.add(&["--update"])).await.ends(0, "entry      changed");
        let (at, now) = place.entry();
        assert_eq!((at, &now["timeout"], &now["hook"]), (key(REPO), &json!("2h"), &entry["hook"]));
        place.world.consul.remove(&key(REPO));
    }
}

#[tokio::test]
async fn two_entries_for_one_repository_are_an_error_that_one_command_mends() {
    let (place, _serve) = Place::with_server().await;
    place.run(&place.add(&["--trusted", "quentin"])).await.ends(0, "");
    let other = format!("albatros/{}", STANDARD.encode(OTHER));
    place.world.consul.put(&other, json!({"hook": {"token": "an-old-token-hidden"}}).to_string());
    let found = place.runs(&["check", REPO, "--json"]).await;
    assert_eq!(found.found(), ["key-double"], "{found:?}");
    place.run(&place.add(&["--update"])).await.ends(0, "entry      changed");
    assert_eq!(place.entry().0, key(REPO));
    place.runs(&["check", REPO]).await.ends(0, "all is well");
}

#[tokio::test]
async fn a_token_only_hook_gets_a_secret_by_an_update() {
    let (place, _serve) = Place::with_server().await;
    place.world.consul.put(&key(REPO), json!({"hook": {"token": "a-token-that-is-hidden"}}).to_string());
    let found = place.runs(&["check", REPO, "--json"]).await;
    assert_eq!((found.code, found.found()), (0, vec!["token-only".to_owned(), "no-forge".to_owned()]));
    place.runs(&["check", REPO, "--strict"]).await.ends(1, "can claim to be any sender");
    place.run(&place.add(&["--update"])).await.ends(0, "test       arrived");
    assert_eq!((place.secret().len(), &place.entry().1["hook"]["token"]), (64, &json!("a-token-that-is-hidden")));
}

#[tokio::test]
async fn show_and_list_say_all_but_secrets() {
    let (place, _serve) = Place::with_server().await;
    place.runs(&["list"]).await.ends(0, "no repositories under albatros/");
    let inject = place.file("inject");
    place.run(&place.add(&["--inject-file", &inject, "--trusted", "quentin"])).await.ends(0, "");
    place.world.consul.put("albatros/nonsense", r#"{"hook":{"secrett":"hidden-by-mistake"}}"#);
    let listed = place.runs(&["list"]).await;
    listed.ends(0, &format!("{REPO}  gitea, secret, builder builder"));
    listed.ends(0, "(no address: nonsense)  BROKEN");
    assert_eq!(place.runs(&["list", "--json"]).await.json().as_array().unwrap().len(), 2);
    let shown = place.runs(&["show", REPO, "--json"]).await.json();
    let value = &shown["entries"][0]["value"];
    assert_eq!((&value["inject"], &value["gitea"]["token"]), (&json!("(secret)"), &json!("(secret)")), "{shown}");
    assert_eq!((&value["gitea"]["url"], &shown["tested"]["forge"]), (&json!(place.world.forge.url()), &json!("gitea")));
    let all = [listed.out, place.runs(&["show", REPO]).await.out, place.runs(&["check", "--all"]).await.out].concat();
    assert!(!all.contains("hidden-by-mistake"), "{all}");
    place.runs(&["show", "http://127.0.0.1:3300/quentin/nothing"]).await.ends(2, "there is no entry");
}

#[tokio::test]
async fn what_is_removed_is_gone_at_the_forge_too() {
    let (place, _serve) = Place::with_server().await;
    place.run(&place.add(&[])).await.ends(0, "");
    place.runs(&["remove", REPO]).await.ends(2, "say --yes");
    assert_eq!((place.world.consul.list("albatros/").len(), place.world.forge.hooks().len()), (1, 1));
    let kept = |what: &str| place.world.consul.list(&format!("albatros-builds/{what}/")).len();
    let others = "albatros-builds/approved/another-repository";
    let theirs = format!("albatros-builds/approved/{}", hex::encode(Sha256::digest(REPO)));
    place.world.consul.put(&theirs, "{}");
    place.world.consul.put(others, "{}");
    assert_eq!((kept("approved"), kept("tests")), (2, 1));
    place.runs(&["remove", REPO, "--yes"]).await.ends(0, "removed:");
    assert!(place.world.consul.list("albatros/").is_empty() && place.world.forge.hooks().is_empty());
    assert!((kept("approved"), kept("tests")) == (1, 0) && place.world.consul.get(others).is_some());
    place.runs(&["remove", REPO, "--yes"]).await.ends(2, "there is no entry");
    place.run(&place.add(&[])).await.ends(0, "");
    place.world.consul.put(&theirs, "{}");
    let otherwise = REPO.trim_end_matches(".git");
    assert_ne!(otherwise, REPO);
    place.runs(&["remove", otherwise, "--yes", "--keep-webhook"]).await.ends(0, "webhooks: 0");
    assert_eq!(kept("approved"), 1, "it goes by whatever spelling it is removed");
    assert_eq!((place.world.consul.list("albatros/").len(), place.world.forge.hooks().len()), (0, 1));
}

#[tokio::test]
async fn a_forge_that_is_down_keeps_the_entry_that_its_webhook_is_removed_with() {
    let (place, _serve) = Place::with_server().await;
    place.run(&place.add(&[])).await.ends(0, "");
    place.world.forge.wire().down(true);
    place.runs(&["remove", REPO, "--yes"]).await.ends(3, "--keep-webhook");
    assert_eq!(place.entry().0, key(REPO));
    place.world.forge.wire().down(false);
    place.runs(&["remove", REPO, "--yes"]).await.ends(0, "removed:");
}
