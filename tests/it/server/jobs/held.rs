//! A job that waits for a person.

use serde_json::{Value, json};

use super::{Parent, job};
use crate::fake::delivery::commit;
use crate::fake::world::{ACTOR, READER, person};

async fn held() -> (Parent, String) {
    let parent = Parent::new().await;
    let reply = parent.put(&json!({"name": "deploy", "command": ["true"], "hold": true})).await;
    assert_eq!((reply.status, &reply.value()["state"]), (201, &json!("held")), "{}", reply.text);
    let claim = reply.value()["claim"].as_str().unwrap().to_owned();
    (parent, claim)
}

#[tokio::test]
async fn it_runs_once_a_person_approves_it() {
    let (parent, claim) = held().await;
    let page = format!("/builds/claim/{claim}");
    let shown = person(&parent.story.serve, "GET", &page, None).await;
    for words in ["waiting for approval", "job deploy of ", &parent.claim] {
        assert!(shown.text.contains(words), "{words}: {}", shown.text);
    }
    let approve = format!("{page}/approve");
    for bearer in [None, Some("guessed"), Some(READER)] {
        assert_eq!(person(&parent.story.serve, "POST", &approve, bearer).await.status, 401, "{bearer:?}");
    }
    assert_eq!(parent.world().nomad.dispatches(), 1);
    let approved = person(&parent.story.serve, "POST", &approve, Some(ACTOR)).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    let build = parent.world().nomad.child("container", 1).await;
    assert_eq!(approved.text.trim_end(), build);
    parent.world().nomad.run(&build);
    parent.world().nomad.exit(&build, 0);
    let ended = parent.wait("it has ended", |job| job["ended"] == true).await;
    assert_eq!(ended["state"], "success");
    assert!(parent.world().forge.of(&commit(2)).iter().all(|status| !status.description.contains("approval")));
}

#[tokio::test]
async fn it_ends_with_its_parent() {
    let (parent, claim) = held().await;
    parent.world().nomad.exit(&parent.story.build, 0);
    parent.world().all_done(2).await;
    assert_eq!(parent.done_job().unwrap()["outcome"]["is"], "cancelled");
    let late = person(&parent.story.serve, "POST", &format!("/builds/claim/{claim}/approve"), Some(ACTOR)).await;
    assert_eq!(late.status, 409, "{}", late.text);
    assert_eq!(parent.world().nomad.dispatches(), 1);
}

#[tokio::test]
async fn a_person_may_refuse_it() {
    let (parent, claim) = held().await;
    let refused = person(&parent.story.serve, "DELETE", &format!("/builds/claim/{claim}"), Some(ACTOR)).await;
    assert_eq!(refused.status, 202, "{}", refused.text);
    let ended = parent.wait("it has ended", |job| job["ended"] == true).await;
    assert_eq!((&ended["state"], &ended["build"]), (&json!("cancelled"), &Value::Null));
    let others = parent.put(&job("other")).await;
    assert_eq!(others.status, 201, "{}", others.text);
}
