//! The registry in a Consul that is slow, cut off, or lies.

use std::time::{Duration, Instant};

use albatros::api::consul::Consul as Client;
use albatros::api::http::{EndpointConfig, Service, Tls};
use albatros::domain::repo_url::RepoUrl;
use albatros::domain::report::Report;
use albatros::registry::{Claimed, ConsulRegistry, Entry, Lease, Registry, RegistryError, Written};
use serde_json::json;

use crate::fake::consul::Consul;
use crate::fake::fault::{Fault, Times};
use crate::registry_samples::{approved, done, id, record};

fn registry(consul: &Consul) -> Registry {
    let client = Client::new(EndpointConfig {
        service: Service::Consul,
        address: consul.url().parse().unwrap(),
        token: None,
        tls: Tls::default(),
        http_auth: None,
        query: Vec::new(),
    });
    Registry::Consul(ConsulRegistry::new(client.unwrap(), "albatros"))
}

async fn lease(registry: &Registry) -> Lease {
    registry.acquire().await.unwrap().unwrap()
}

#[tokio::test]
async fn a_claim_whose_answer_is_lost_is_still_won_once() {
    for fault in [
        Fault::CutAfter,
        Fault::CutBefore,
        Fault::HangAfter,
        Fault::TooMany,
        Fault::Text(500, "No cluster leader"),
        Fault::Html(502),
    ] {
        let consul = Consul::start().await;
        let registry = registry(&consul);
        consul.faults().arm("PUT", "/v1/txn", Times::Next(1), fault);
        let claimed = registry.claim(&id('1'), &record("mine")).await.unwrap();
        let Claimed::Won(index) = claimed else { panic!("{fault:?}: {claimed:?}") };
        assert_eq!(registry.open(&id('1')).await.unwrap().unwrap().index, index, "{fault:?}");
        assert_eq!(consul.writes(), 1, "{fault:?}");
        let other = registry.claim(&id('1'), &record("yours")).await.unwrap();
        assert!(matches!(other, Claimed::Open(stored) if stored.value.nonce == "mine"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_consul_that_never_answers_is_an_error_in_time_and_nothing_is_written() {
    for fault in [Fault::Hang, Fault::Text(500, "rpc error"), Fault::Html(200), Fault::CutBefore] {
        let consul = Consul::start().await;
        let registry = registry(&consul);
        consul.faults().arm("*", "/v1/txn", Times::All, fault);
        let begun = Instant::now();
        let claimed = registry.claim(&id('1'), &record("mine")).await;
        assert!(matches!(claimed, Err(RegistryError::Unavailable(_))), "{fault:?}: {claimed:?}");
        assert!(begun.elapsed() < Duration::from_millis(4_800), "{fault:?}");
        assert_eq!(consul.writes(), 0, "{fault:?}");
        consul.faults().clear();
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_settled_by_what_is_there() {
    for fault in [Fault::CutAfter, Fault::CutBefore, Fault::Text(500, "rpc error")] {
        let consul = Consul::start().await;
        let registry = registry(&consul);
        let lose = || consul.faults().arm("PUT", "/v1/txn", Times::Next(1), fault);
        let Claimed::Won(first) = registry.claim(&id('1'), &record("mine")).await.unwrap() else { panic!() };
        let held = lease(&registry).await;

        let mut changed = record("mine");
        changed.private = true;
        lose();
        let Written::Yes(second) = registry.update(&id('1'), &changed, first, Some(&held)).await.unwrap() else {
            panic!("{fault:?}")
        };
        assert_eq!(registry.open(&id('1')).await.unwrap().unwrap().index, second, "{fault:?}");

        let report = Report { summary: format!("{fault:?}"), tests: None, trouble: None, machine: None };
        lose();
        let Written::Yes(second) = registry.keep_report(&id('1'), &changed, second, &report).await.unwrap() else {
            panic!("{fault:?}")
        };
        assert_eq!(registry.open(&id('1')).await.unwrap().unwrap().index, second, "{fault:?}");
        assert_eq!(registry.report(&id('1')).await.unwrap(), Some(report), "{fault:?}");

        lose();
        assert!(
            matches!(registry.finish(&id('1'), second, &done(), &held).await.unwrap(), Written::Yes(_)),
            "{fault:?}"
        );
        assert!(registry.open(&id('1')).await.unwrap().is_none() && registry.done(&id('1')).await.unwrap().is_some());

        let Claimed::Won(index) = registry.claim(&id('2'), &record("mine")).await.unwrap() else { panic!() };
        lose();
        assert!(matches!(registry.forget(&id('2'), index, &held).await.unwrap(), Written::Yes(_)), "{fault:?}");
        lose();
        assert!(matches!(registry.expire(&id('1'), &held).await.unwrap(), Written::Yes(_)), "{fault:?}");
        assert!(registry.done(&id('1')).await.unwrap().is_none());
        assert_eq!(registry.report(&id('1')).await.unwrap(), None, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lock_whose_answer_is_lost_is_known_to_be_held() {
    let consul = Consul::start().await;
    let registry = registry(&consul);
    consul.faults().arm("PUT", "acquire=", Times::Next(1), Fault::CutAfter);
    let held = lease(&registry).await;
    assert_eq!(consul.holder("albatros-builds/lock"), Some(held.session.clone()));
    assert!(registry.renew(&held).await.unwrap());

    consul.end_sessions(&[]);
    assert!(!registry.renew(&held).await.unwrap());
    let Claimed::Won(index) = registry.claim(&id('1'), &record("mine")).await.unwrap() else { panic!() };
    assert_eq!(registry.update(&id('1'), &record("x"), index, Some(&held)).await.unwrap(), Written::LeaseLost);
}

#[tokio::test]
async fn who_waits_for_the_lock_makes_no_sessions() {
    let consul = Consul::start().await;
    let (one, two) = (registry(&consul), registry(&consul));
    let _held = lease(&one).await;
    for _ in 0..10 {
        assert_eq!(two.acquire().await.unwrap(), None);
    }
    assert_eq!(consul.sessions().len(), 1);
}

#[tokio::test]
async fn strangers_cost_consul_one_read_a_second() {
    let consul = Consul::start().await;
    consul.put_repo("albatros", "https://git.example/a/b.git", &json!({"hook": {"token": "t"}}));
    let registry = registry(&consul);
    let known: RepoUrl = "https://git.example/a/b.git".parse().unwrap();
    assert!(matches!(registry.entry(&known).await.unwrap(), Entry::Found(_)));
    let before = consul.wire().seen().len();
    let begun = Instant::now();
    for n in 0..500 {
        let stranger = format!("https://git.example/stranger/{n}").parse().unwrap();
        assert!(matches!(registry.entry(&stranger).await.unwrap(), Entry::Unknown));
        assert!(matches!(registry.entry(&known).await.unwrap(), Entry::Found(_)));
    }
    // A read looks under at most four spellings.
    let allowed = 4 * (1 + usize::try_from(begun.elapsed().as_secs()).unwrap());
    let cost = consul.wire().seen().len() - before;
    assert!((1..=allowed).contains(&cost), "{cost} of {allowed}");
}

#[tokio::test]
async fn the_copy_answers_while_consul_is_away_and_without_one_it_is_an_error() {
    let consul = Consul::start().await;
    consul.put_repo("albatros", "https://git.example/a/b.git", &json!({"hook": {"token": "t"}}));
    let known: RepoUrl = "https://git.example/a/b.git".parse().unwrap();
    let copied = registry(&consul);
    assert!(matches!(copied.entry(&known).await.unwrap(), Entry::Found(_)));
    consul.wire().down(true);
    assert!(matches!(copied.entry(&known).await.unwrap(), Entry::Found(_)));
    assert!(matches!(copied.entry_now(&known).await, Err(RegistryError::Unavailable(_))));
    let late = registry(&consul);
    assert!(matches!(late.entry(&known).await, Err(RegistryError::Unavailable(_))));
    consul.wire().down(false);
    let waited = tokio::time::timeout(Duration::from_secs(20), async { while late.entry(&known).await.is_err() {} });
    waited.await.unwrap();
}

#[tokio::test]
async fn a_right_that_is_missing_is_named() {
    let consul = Consul::start().await;
    let registry = registry(&consul);
    assert_eq!(registry.check().await.unwrap(), Vec::<String>::new());
    consul.require_token("another one");
    let denied = registry.claim(&id('1'), &record("mine")).await;
    assert!(matches!(denied, Err(RegistryError::Refused(_))), "{denied:?}");
    let missing = registry.check().await;
    assert!(missing.as_ref().is_err() || !missing.unwrap().is_empty());
}

#[tokio::test]
async fn who_is_approved_is_written_by_index_though_an_answer_is_lost() {
    for fault in [Fault::CutAfter, Fault::CutBefore, Fault::HangAfter, Fault::Text(500, "rpc error")] {
        let consul = Consul::start().await;
        let registry = registry(&consul);
        let lose = || consul.faults().arm("PUT", "/v1/txn", Times::Next(1), fault);
        let (one, two) = (approved(&["mallory"]), approved(&["mallory", "eve"]));
        lose();
        let Written::Yes(first) = registry.set_approved(&one, None).await.unwrap() else { panic!("{fault:?}") };
        assert_eq!(registry.set_approved(&two, None).await.unwrap(), Written::Conflict, "{fault:?}");
        lose();
        let Written::Yes(second) = registry.set_approved(&two, Some(first)).await.unwrap() else { panic!("{fault:?}") };
        assert_eq!(registry.set_approved(&one, Some(first)).await.unwrap(), Written::Conflict, "{fault:?}");
        let found = registry.approved(&two.canonical).await.unwrap().unwrap();
        assert_eq!((found.value, found.index), (two.clone(), second), "{fault:?}");
        assert_eq!(registry.all_approved().await.unwrap(), [two], "{fault:?}");
    }
}
