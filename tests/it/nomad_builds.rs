//! Builds on Nomad: dispatched once, proven ours, found again, and what is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use albatros::api::http::{EndpointConfig, Service, Tls};
use albatros::api::nomad::Nomad as Client;
use albatros::domain::secret::Secret;
use albatros::engine::{DispatchError, Engine, EngineError, Hint, NomadEngine, Order};
use serde_json::json;

use crate::fake;
use crate::fake::fault::{Fault, Times};
use crate::fake::nomad::{Builder, Nomad};
use crate::fake::wire::PATIENCE;

pub(crate) const BUILDER: &str = "b";

pub(crate) async fn cluster() -> (Nomad, Engine) {
    let nomad = Nomad::start().await;
    nomad.register(&Builder::plain(BUILDER));
    let config = EndpointConfig {
        service: Service::Nomad,
        address: nomad.url().parse().unwrap(),
        token: None,
        tls: Tls::default(),
        http_auth: None,
        query: Vec::new(),
    };
    let engine = Engine::Nomad(NomadEngine::new(Client::new(config, "ci".to_owned()).unwrap()));
    (nomad, engine)
}

pub(crate) fn order() -> Order {
    let meta = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"].map(|key| (key.to_owned(), "x".to_owned()));
    Order {
        claim: fake::hex(32).parse().unwrap(),
        builder: BUILDER.parse().unwrap(),
        meta: BTreeMap::from(meta),
        payload: Some(Secret::new("A=b\n")),
        timeout: Duration::from_secs(60),
        grant: None,
    }
}

#[tokio::test]
async fn a_build_is_dispatched_once_and_found_again() {
    let (nomad, engine) = cluster().await;
    let (order, other) = (order(), order());
    let build = engine.dispatch(&order).await.unwrap();
    assert_eq!(engine.dispatch(&order).await.unwrap(), build);
    assert_eq!(nomad.dispatches(), 1);
    let found = engine.find(&order.builder, &order.claim, 0).await.unwrap();
    assert_eq!(found.as_ref(), Some(&build));
    assert_eq!(engine.find(&order.builder, &other.claim, 0).await.unwrap(), None);
    assert_eq!(engine.find(&order.builder, &order.claim, i64::MAX).await.unwrap(), None, "submitted before");
    engine.dispatch(&other).await.unwrap();
    assert_eq!(engine.children(&order.builder, 10).await.unwrap().len(), 2);
    assert_eq!(engine.children(&order.builder, 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_child_that_does_not_exist_is_asked_for_again() {
    let (nomad, engine) = cluster().await;
    nomad.ghosts(4);
    let build = engine.dispatch(&order()).await.unwrap();
    assert_eq!(nomad.children(BUILDER), [build.as_str()]);
    nomad.ghosts(5);
    assert!(matches!(engine.dispatch(&order()).await, Err(DispatchError::Passing(_))));
}

#[tokio::test]
async fn a_strangers_child_under_our_token_is_refused() {
    let (nomad, engine) = cluster().await;
    let order = order();
    let theirs = json!({"REPO_URL": "x", "COMMIT": "evil", "BRANCH": "x", "FLAVOR": "x"});
    nomad.dispatch_as_stranger(BUILDER, order.claim.as_str(), &theirs);
    let refused = engine.dispatch(&order).await.unwrap_err();
    assert!(matches!(&refused, DispatchError::NotOurs(why) if why.contains("COMMIT") && !why.contains("evil")));
}

#[tokio::test]
async fn what_will_never_work_is_told_from_what_may() {
    let (nomad, engine) = cluster().await;
    let mut unpermitted = order();
    unpermitted.meta.insert("EXTRA".to_owned(), "x".to_owned());
    let refused = engine.dispatch(&unpermitted).await.unwrap_err();
    assert!(matches!(&refused, DispatchError::Permanent(sentence) if sentence.contains("EXTRA")), "{refused:?}");
    let order = order();
    for fault in [
        Fault::Text(500, "No cluster leader"),
        Fault::Text(403, "Permission denied"),
        Fault::Html(502),
        Fault::Html(200),
        Fault::TooMany,
        Fault::CutBefore,
        Fault::CutAfter,
    ] {
        nomad.faults().arm("POST", "/dispatch", Times::Next(1), fault);
        let refused = engine.dispatch(&order).await.unwrap_err();
        assert!(matches!(refused, DispatchError::Passing(_)), "{fault:?}: {refused:?}");
    }
    let build = engine.dispatch(&order).await.unwrap();
    assert_eq!(nomad.children(BUILDER), [build.as_str()], "the one that was cut off after it was done");
}

#[tokio::test]
async fn a_build_that_is_gone_is_seen_to_be_gone() {
    let (nomad, engine) = cluster().await;
    let build = engine.dispatch(&order()).await.unwrap();
    nomad.run(build.as_str());
    let seen = engine.observe(&build).await.unwrap();
    assert_eq!((seen.job.is_some(), seen.allocations.len()), (true, 1));
    engine.stop(&build).await.unwrap();
    assert!(engine.observe(&build).await.unwrap().job.unwrap().stop);
    nomad.purge(build.as_str());
    let seen = engine.observe(&build).await.unwrap();
    assert_eq!((seen.job, seen.allocations.len()), (None, 0));
    engine.stop(&build).await.unwrap();
}

#[tokio::test]
async fn a_builder_that_is_none_is_unknown() {
    let (nomad, engine) = cluster().await;
    nomad.register(&Builder::plain("web").not_parameterized());
    for name in ["web", "nobody"] {
        let unknown = engine.builder(&name.parse().unwrap()).await.unwrap_err();
        assert!(matches!(unknown, EngineError::Unknown(_)), "{name}: {unknown:?}");
    }
    assert_eq!(engine.builder(&BUILDER.parse().unwrap()).await.unwrap().meta_required.len(), 4);
}

#[tokio::test]
async fn each_missing_right_is_named() {
    let (nomad, engine) = cluster().await;
    let build = engine.dispatch(&order()).await.unwrap();
    nomad.run(build.as_str());
    assert_eq!(engine.check().await.unwrap(), Vec::<String>::new());
    for right in ["list-jobs", "dispatch-job", "read-logs", "read-job"] {
        nomad.deny(right);
        let missing = engine.check().await.unwrap();
        assert!(missing.iter().any(|sentence| sentence.contains(right)), "{right}: {missing:?}");
    }
    assert_eq!(nomad.dispatches(), 1, "nothing was started to find out");
}

#[tokio::test]
async fn hints_name_the_build_and_begin_anew_after_a_break() {
    let (nomad, engine) = cluster().await;
    let mut hints = engine.hints().await;
    assert_eq!(hints.recv().await, Some(Hint::All), "at first");
    assert_eq!(hints.recv().await, Some(Hint::All), "when the stream has begun");
    let build = engine.dispatch(&order()).await.unwrap();
    let mut until = async |hint: &Hint| {
        let heard = async { while hints.recv().await.as_ref() != Some(hint) {} };
        assert!(tokio::time::timeout(PATIENCE, heard).await.is_ok(), "waited for {hint:?}");
    };
    until(&Hint::Build(build)).await;
    nomad.wire().cut_all();
    until(&Hint::All).await;
}
