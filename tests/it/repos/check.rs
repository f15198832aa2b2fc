//! What is wrong has a name and a way to mend it.

use serde_json::{Value, json};

use super::{NAME, Place, key};
use crate::fake::delivery::REPO;
use crate::fake::fault::{Fault, Times};
use crate::fake::forge::{Hook, Right};
use crate::fake::world::FORGE;

/// A registered repository that has nothing wrong with it.
async fn sound() -> (Place, crate::fake::serve::Serve) {
    let (place, serve) = Place::with_server().await;
    place.run(&place.add(&["--trusted", "quentin"])).await.ends(0, "");
    place.runs(&["check", REPO]).await.ends(0, &format!("{REPO}: all is well"));
    (place, serve)
}

#[tokio::test]
async fn faults_of_a_webhook_are_named_and_mended_by_adding_again() {
    let (place, _serve) = sound().await;
    type Edit = fn(&mut Hook);
    let faults: [(Edit, &str); 4] = [
        (|hook| hook.active = false, "webhook-inactive"),
        (|hook| assert!(hook.events.remove("pull_request_sync")), "webhook-events"),
        (|hook| hook.url.push_str("?token=seen-by-everybody"), "webhook-token"),
        (|hook| hook.url = "https://old.example/hook?token=seen-by-everybody".to_owned(), "webhook-missing"),
    ];
    for (edit, name) in faults {
        place.world.forge.edit_hooks(edit);
        let found = place.runs(&["check", REPO, "--json", "--strict"]).await;
        assert_eq!((found.code, found.found()), (1, vec![name.to_owned()]));
        assert!(!found.out.contains("seen-by"), "{found:?}");
        place.run(&place.add(&["--update"])).await.ends(0, "");
        place.runs(&["check", REPO]).await.ends(0, "all is well");
    }
    place.world.forge.edit_hooks(|hook| hook.url = "https://old.example/hook".to_owned());
    place.runs(&["check", REPO]).await.ends(1, "one leads to https://old.example/hook");
}

#[tokio::test]
async fn a_test_that_does_not_arrive_names_the_setting_and_the_host() {
    let (place, _serve) = sound().await;
    place.world.forge.delivers(false);
    let lost = place.runs(&["check", REPO, "--wait", "1s"]).await;
    lost.ends(1, "[test-not-delivered]");
    lost.ends(1, "ALLOWED_HOST_LIST = external, 127.0.0.1");
    place.runs(&["check", REPO, "--no-test"]).await.ends(0, "all is well");
    place.runs(&["check", "--all"]).await.ends(0, "all is well");
    place.runs(&["check", "--all", "--test", "--wait", "1s"]).await.ends(1, "[test-not-delivered]");
    place.world.forge.delivers(true);
    place.runs(&["check", "--all", "--test"]).await.ends(0, "all is well");
}

#[tokio::test]
async fn what_a_new_webhook_s_forge_says_is_told_and_not_that_its_secret_is_wrong() {
    let (place, _serve) = Place::with_server().await;
    place.world.forge.delivers(false);
    let added = place.run(&place.add_at("github", &["--wait", "1s"])).await;
    added.ends(1, "GitHub says: 502 failed to connect to host");
    let added = place.run(&place.add(&["--update", "--wait", "1s"])).await;
    added.ends(1, "fix: in their app.ini: [webhook] ALLOWED_HOST_LIST = external, 127.0.0.1");
}

#[tokio::test]
async fn a_webhook_with_another_secret_is_told_from_a_host_that_is_not_reached() {
    let (place, _serve) = sound().await;
    place.world.forge.edit_hooks(|hook| hook.secret = "another".to_owned());
    // serve takes ours, and refuses the forge's: from outside both look like nothing arriving.
    place.runs(&["check", REPO, "--wait", "1s"]).await.ends(1, "not signed with the entry's secret");
}

#[tokio::test]
async fn a_server_that_reads_other_keys_or_is_none_is_told() {
    let (place, _serve) = sound().await;
    place.world.set("ALBATROS_PREFIX", "elsewhere");
    let other = place.world.serve().await;
    let hook = format!("{}/hook", other.url);
    place.world.forge.edit_hooks(|one| one.url.clone_from(&hook));
    let server = |url: &str| ["check", REPO, "--wait", "1s", "--server", url].map(str::to_owned);
    place.run(&server(&other.url)).await.ends(1, "[server-elsewhere]");
    other.kill().await;
    let nobody = hook.trim_end_matches("/hook").to_owned();
    place.run(&server(&nobody)).await.ends(3, "[server-unreachable]");
    let forge = place.world.forge.url();
    place.world.forge.edit_hooks(|one| one.url = format!("{forge}/hook"));
    place.run(&server(&forge)).await.ends(1, "[server-strange]");
}

#[tokio::test]
async fn builders_people_and_addresses_are_looked_up() {
    let (place, _serve) = sound().await;
    let (_, good) = place.entry();
    let change = |edit: &dyn Fn(&mut Value)| {
        let mut entry = good.clone();
        edit(&mut entry);
        place.world.consul.put(&key(REPO), entry.to_string());
    };
    type Edit<'a> = &'a dyn Fn(&mut Value);
    let cases: [(Edit<'_>, i32, &str); 7] = [
        (&|entry| entry["builders"] = json!({"default": "bulder"}), 1, "builder-unknown"),
        (&|entry| entry["trusted"]["senders"] = json!([{"login": "quentin", "id": 99}]), 1, "sender-other-id"),
        (&|entry| entry["trusted"]["senders"] = json!([{"login": "gone", "id": 99}]), 0, "sender-unknown"),
        (&|entry| entry["trusted"]["senders"] = json!(["quentin"]), 0, "sender-without-id"),
        (&|entry| entry["repository_id"] = json!(99), 1, "repository-id"),
        (&|entry| entry["gitea"]["token"] = json!("revoked-t0ken"), 1, "repository-hidden"),
        (&|entry| entry["nonsense"] = json!(1), 1, "entry-broken"),
    ];
    for (edit, code, name) in cases {
        change(edit);
        let found = place.runs(&["check", REPO, "--no-test", "--json"]).await;
        assert_eq!((found.code, found.found()), (code, vec![name.to_owned()]), "{found:?}");
        for finding in found.json()[0]["findings"].as_array().unwrap() {
            assert!(!finding["fix"].as_str().unwrap().is_empty(), "{finding}");
        }
    }
}

#[tokio::test]
async fn what_a_token_may_not_is_told_with_the_forge_s_words() {
    let (place, _serve) = sound().await;
    let (_, mut entry) = place.entry();
    place.token("reader-t0ken-at-the-forge", Right::Read);
    entry["gitea"]["token"] = "reader-t0ken-at-the-forge".into();
    place.world.consul.put(&key(REPO), entry.to_string());
    let found = place.runs(&["check", REPO, "--json"]).await;
    assert_eq!((found.code, found.found()), (1, vec!["statuses-refused".to_owned(), "webhook-unseen".to_owned()]));
    assert!(found.out.contains("user should be an owner or a collaborator"), "{found:?}");
}

#[tokio::test]
async fn jobs_that_the_token_may_not_list_are_told_of_an_organisation_s_repositories() {
    const ORGANISATION: &str = "http://127.0.0.1:3300/acme";
    let (place, _serve) = Place::with_server().await;
    let entry = json!({
        "hook": {"secret": "hook-s3cr3t-of-acme"}, "github": {"url": place.world.forge.url(), "token": FORGE},
        "runners": [{"labels": ["gpu"]}], "private": true,
    });
    place.world.consul.put_repo("albatros", ORGANISATION, &entry);
    let check = async || place.runs(&["check", ORGANISATION, "--json"]).await;
    let found = check().await;
    assert_eq!(found.found(), ["builder-unknown"], "{found:?}");
    assert!(found.out.contains("no builder runner "), "only those of its runners are asked for: {found:?}");
    let hidden = Fault::Text(403, r#"{"message": "Resource not accessible by personal access token"}"#);
    place.world.forge.faults().arm("GET", "/acme/docs/actions/runs", Times::All, hidden);
    let found = check().await;
    assert!(found.found().contains(&"jobs-hidden".to_owned()), "{found:?}");
    assert!(found.out.contains("acme/docs") && found.out.contains("Actions: read"), "{found:?}");
}

#[tokio::test]
async fn a_private_repository_that_is_shown_to_everybody_is_told() {
    let (place, _serve) = sound().await;
    place.world.forge.make_private();
    place.run(&place.add(&["--update", "--public"])).await.ends(0, "");
    assert_eq!(place.runs(&["check", REPO, "--json"]).await.found(), ["private-shown"]);
    place.run(&place.add(&["--update", "--private"])).await.ends(0, "");
    place.runs(&["check", REPO]).await.ends(0, "all is well");
}

#[tokio::test]
async fn all_entries_are_checked_and_those_that_no_delivery_finds_are_errors() {
    let (place, _serve) = sound().await;
    place.world.consul.put("albatros/https:hello", "{}");
    let gone = format!("http://127.0.0.1:3300/{NAME}-gone.git");
    let (_, entry) = place.entry_of(REPO);
    place.world.consul.put(&key(&gone), entry.to_string());
    let all = place.runs(&["check", "--all"]).await;
    all.ends(1, "[key-encoding]");
    all.ends(1, "knows no such repository");
    all.ends(1, &format!("{REPO}: all is well"));
}
