//! Keys, claims and the lock on a real Consul.

use std::sync::Arc;
use std::time::Duration;

use albatros::api::consul::{Consistency, ConsulError, Op, Outcome};
use albatros::api::http::forge_client;
use albatros::domain::id::ClaimId;
use albatros::domain::record::{Done, Record};
use albatros::domain::repo_url::RepoUrl;
use albatros::registry::{Claimed, ConsulRegistry, Entry, Index, Lease, Registry, Written};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use crate::agent::{Agent, ROOT};

fn id(digit: char) -> ClaimId {
    digit.to_string().repeat(64).parse().unwrap()
}

fn record(nonce: &str) -> Record {
    serde_json::from_value(json!({
        "version": 1, "nonce": nonce, "repo": "https://git.example/a/b.git", "canonical": "https://git.example/a/b.git",
        "ref": "refs/heads/main", "branch": "main", "before": "0".repeat(40), "commit": "a".repeat(40),
        "flavor": "default", "event": "push", "sender": {"login": "quentin"}, "trusted": true, "private": false,
        "builder": "builder", "namespace": "ci", "meta": {}, "created": "2026-11-21T12:00:00Z",
        "phase": {"is": "claimed"}, "from_a_later_version": {"kept": true}
    }))
    .unwrap()
}

fn done() -> Done {
    serde_json::from_value(json!({
        "version": 1, "outcome": {"is": "success"}, "created": "2026-11-21T12:00:00Z",
        "finished": "2026-11-21T12:00:09Z", "repo": "https://git.example/a/b.git", "ref": "refs/heads/main",
        "before": "0".repeat(40), "commit": "a".repeat(40), "flavor": "default", "event": "push", "private": false
    }))
    .unwrap()
}

fn registry(agent: &Agent, token: Option<&str>) -> Arc<Registry> {
    Arc::new(Registry::Consul(ConsulRegistry::new(agent.consul(token), "team/albatros")))
}

async fn lease(registry: &Registry) -> Lease {
    registry.acquire().await.unwrap().unwrap()
}

#[tokio::test]
async fn keys_of_every_spelling_are_what_they_say() {
    let Some(agent) = Agent::start("keys of every spelling", "").await else { return };
    let consul = agent.consul(None);
    for key in ["plain", "a/b", "k/aGk=", "k/a+b", "k/a%2Fb", "k/a b", "k/é", "k/a?b#c", "k/a%b"] {
        assert!(consul.put(key, key.to_owned().into(), Some(0), 0).await.unwrap(), "{key}");
        assert!(!consul.put(key, "again".into(), Some(0), 0).await.unwrap(), "{key}");
        let pair = consul.get(key, Consistency::Consistent).await.unwrap().unwrap();
        assert_eq!((pair.key.as_str(), pair.value.as_ref()), (key, key.as_bytes()));
    }
    let odd = "k/a//b/../c";
    assert!(matches!(consul.transaction(&[Op::Set { key: odd, value: b"odd" }]).await.unwrap(), Outcome::Done(_)));
    assert_eq!(consul.get(odd, Consistency::Consistent).await.unwrap().unwrap().value, "odd");
    assert!(matches!(consul.put(odd, "x".into(), None, 0).await, Err(ConsulError::Http(_))));
    assert_eq!(consul.get("k/none//", Consistency::Default).await.unwrap(), None);

    assert_eq!(consul.keys("k/").await.unwrap().1.len(), 8);
    assert!(consul.put("k/big", vec![b'x'; 512 * 1024].into(), None, 7).await.unwrap());
    let big = consul.get("k/big", Consistency::Default).await.unwrap().unwrap();
    assert_eq!((big.value.len(), big.flags), (512 * 1024, 7));
    let beyond = consul.put("k/big", vec![b'x'; 512 * 1024 + 1].into(), None, 0).await;
    assert!(matches!(beyond, Err(ConsulError::TooLarge(_))));
    assert!(!consul.delete("k/big", Some(1)).await.unwrap());
    assert!(consul.delete("k/big", Some(big.modify_index)).await.unwrap());
    assert!(consul.list("nothing/here/", None, Consistency::Default).await.unwrap().1.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_that_claim_at_once_one_wins() {
    let Some(agent) = Agent::start("32 claims at once", "").await else { return };
    let registries = [registry(&agent, None), registry(&agent, None)];
    let tries = (0..32).map(|n| {
        let registry = Arc::clone(&registries[n % 2]);
        tokio::spawn(async move { registry.claim(&id('1'), &record(&format!("nonce {n}"))).await.unwrap() })
    });
    let mut won = 0;
    for one in tries.collect::<Vec<_>>() {
        match one.await.unwrap() {
            Claimed::Won(_) => won += 1,
            Claimed::Open(stored) => assert!(stored.value.nonce.starts_with("nonce ")),
            Claimed::Done(_) => panic!("nothing has ended"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_claim_goes_its_way_and_only_the_holder_of_the_lock_ends_it() {
    let Some(agent) = Agent::start("a claim's way", "").await else { return };
    let registry = registry(&agent, None);
    let Claimed::Won(first) = registry.claim(&id('2'), &record("mine")).await.unwrap() else { panic!("lost") };
    let mut changed = registry.open(&id('2')).await.unwrap().unwrap().value;
    assert_eq!(changed.other["from_a_later_version"], json!({"kept": true}));

    // By index: whoever read an older state writes nothing.
    changed.trusted = false;
    let Written::Yes(second) = registry.update(&id('2'), &changed, first, None).await.unwrap() else { panic!() };
    assert_eq!(registry.update(&id('2'), &changed, first, None).await.unwrap(), Written::Conflict);
    assert_eq!(registry.update(&id('2'), &changed, Index(0), None).await.unwrap(), Written::Conflict);

    // The lock goes to another one as soon as it is given up, and the first one's writes stop there.
    let old = lease(&registry).await;
    assert!(registry.renew(&old).await.unwrap());
    assert_eq!(registry.acquire().await.unwrap(), None);
    registry.release(&old).await.unwrap();
    let new = lease(&registry).await;
    assert!(!registry.renew(&old).await.unwrap());
    assert_eq!(registry.finish(&id('2'), second, &done(), &old).await.unwrap(), Written::LeaseLost);
    assert_eq!(registry.update(&id('2'), &changed, second, Some(&old)).await.unwrap(), Written::LeaseLost);
    assert_eq!(registry.forget(&id('2'), second, &old).await.unwrap(), Written::LeaseLost);
    assert!(registry.open(&id('2')).await.unwrap().is_some());

    assert_eq!(registry.finish(&id('2'), first, &done(), &new).await.unwrap(), Written::Conflict);
    assert!(registry.done(&id('2')).await.unwrap().is_none());
    assert!(matches!(registry.finish(&id('2'), second, &done(), &new).await.unwrap(), Written::Yes(_)));
    assert!(registry.open(&id('2')).await.unwrap().is_none());
    assert!(matches!(registry.claim(&id('2'), &record("late")).await.unwrap(), Claimed::Done(_)));
    assert_eq!(registry.all_done().await.unwrap().len(), 1);
    assert_eq!(registry.expire(&id('2'), &old).await.unwrap(), Written::LeaseLost);
    assert!(matches!(registry.expire(&id('2'), &new).await.unwrap(), Written::Yes(_)));
    assert!(matches!(registry.claim(&id('2'), &record("again")).await.unwrap(), Claimed::Won(_)));
}

#[tokio::test]
async fn a_lock_that_is_not_renewed_passes_on() {
    let Some(agent) = Agent::start("a lock that is not renewed", "").await else { return };
    let registry = registry(&agent, None);
    let old = lease(&registry).await;
    let waited = tokio::time::timeout(Duration::from_secs(40), async {
        loop {
            if let Some(new) = registry.acquire().await.unwrap() {
                return new;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    });
    let new = waited.await.unwrap();
    assert_ne!(old, new);
    assert!(!registry.renew(&old).await.unwrap());
    assert!(registry.renew(&new).await.unwrap());
}

#[tokio::test]
async fn open_records_are_watched_and_those_of_another_version_left_alone() {
    let Some(agent) = Agent::start("watching", "").await else { return };
    let registry = registry(&agent, None);
    let (index, none) = registry.watch_open(None, Duration::from_secs(5)).await.unwrap();
    assert!(none.is_empty());
    let watching = {
        let registry = Arc::clone(&registry);
        tokio::spawn(async move { registry.watch_open(Some(index), Duration::from_secs(20)).await.unwrap() })
    };
    registry.claim(&id('3'), &record("mine")).await.unwrap();
    let (index, open) = watching.await.unwrap();
    assert_eq!(open.len(), 1);

    let key = format!("team/albatros-builds/open/{}", id('4'));
    agent.consul(None).put(&key, r#"{"version": 99, "new": "shape"}"#.into(), None, 0).await.unwrap();
    let (_, open) = registry.watch_open(Some(index), Duration::from_secs(20)).await.unwrap();
    assert_eq!(open.len(), 1);
    assert!(registry.claim(&id('4'), &record("mine")).await.is_err());
    assert!(registry.open(&id('4')).await.is_err());
    let kept = agent.consul(None).get(&key, Consistency::Consistent).await.unwrap().unwrap();
    assert!(kept.value.starts_with(br#"{"version": 99"#));
}

#[tokio::test]
async fn a_configuration_is_found_changed_and_gone() {
    let Some(agent) = Agent::start("configurations", "").await else { return };
    let registry = registry(&agent, None);
    let url: RepoUrl = "HTTPS://git.example/a/b.git".parse().unwrap();
    assert!(matches!(registry.entry(&url).await.unwrap(), Entry::Unknown));

    let key = format!("team/albatros/{}", BASE64_STANDARD.encode(url.canonical()));
    let consul = agent.consul(None);
    consul.put(&key, r#"{"hook": {"token": "t0k3n"}}"#.into(), None, 0).await.unwrap();
    let Entry::Found(found) = wait_for(&registry, &url, |entry| matches!(entry, Entry::Found(_))).await else {
        panic!()
    };
    assert_eq!(found.repo, "https://git.example/a/b.git");
    assert_eq!(registry.entries().await.unwrap().len(), 1);

    consul.put(&key, r#"{"hook": {"token": "t0k3n"}, "bilders": {}}"#.into(), None, 0).await.unwrap();
    let Entry::Broken(why) = registry.entry_now(&url).await.unwrap() else { panic!() };
    assert!(why.contains("bilders"), "{why}");
    wait_for(&registry, &url, |entry| matches!(entry, Entry::Broken(_))).await;
    consul.delete(&key, None).await.unwrap();
    wait_for(&registry, &url, |entry| matches!(entry, Entry::Unknown)).await;
}

async fn wait_for(registry: &Registry, url: &RepoUrl, fits: impl Fn(&Entry) -> bool) -> Entry {
    let waited = tokio::time::timeout(Duration::from_secs(10), async {
        loop {
            let entry = registry.entry(url).await.unwrap();
            if fits(&entry) {
                return entry;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap()
}

#[tokio::test]
async fn the_shipped_policy_is_enough_and_without_it_each_missing_right_is_named() {
    let hcl = format!(
        r#"primary_datacenter = "dc1" acl {{ enabled = true default_policy = "deny" tokens {{ master = "{ROOT}" }} }}"#
    );
    let Some(agent) = Agent::start("least rights", &hcl).await else { return };
    let shipped = include_str!("../../hcl/policy/consul.hcl").replace("albatros", "team/albatros");
    let enough = token(&agent, "enough", &shipped).await;
    let reader = token(&agent, "reader", r#"key_prefix "team/albatros/" { policy = "read" }"#).await;

    let registry_enough = registry(&agent, Some(&enough));
    assert_eq!(registry_enough.check().await.unwrap(), Vec::<String>::new());
    let Claimed::Won(index) = registry_enough.claim(&id('5'), &record("mine")).await.unwrap() else { panic!() };
    let held = lease(&registry_enough).await;
    assert!(matches!(registry_enough.finish(&id('5'), index, &done(), &held).await.unwrap(), Written::Yes(_)));
    assert_eq!(registry_enough.check().await.unwrap(), Vec::<String>::new());
    registry_enough.release(&held).await.unwrap();

    let reads = registry(&agent, Some(&reader));
    assert!(reads.claim(&id('6'), &record("mine")).await.is_err());
    assert!(reads.acquire().await.is_err());
    let missing = reads.check().await.unwrap();
    assert!(missing.iter().any(|it| it.contains("key:write") && it.contains("team/albatros-builds/")), "{missing:?}");
    let nobody = registry(&agent, Some("00000000-0000-0000-0000-00000000dead")).check().await;
    assert!(nobody.is_err() || !nobody.unwrap().is_empty());
}

/// A token of an agent with ACLs that may do what `rules` say.
pub(crate) async fn token(agent: &Agent, name: &str, rules: &str) -> String {
    let client = forge_client(None).unwrap();
    for (path, body) in [
        ("policy", json!({"Name": name, "Rules": rules})),
        ("token", json!({"Description": name, "Policies": [{"Name": name}]})),
    ] {
        let request = client.put(format!("{}/v1/acl/{path}", agent.url())).header("x-consul-token", ROOT).json(&body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{name}: {}", answer.text().await.unwrap());
        if path == "token" {
            let made: serde_json::Value = answer.json().await.unwrap();
            return made["SecretID"].as_str().unwrap().to_owned();
        }
    }
    panic!("no token was made");
}
