//! What is no job, and who starts none.

use serde_json::json;

use super::{Parent, ask, grant, job};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::server::session::{refused, secret};

#[tokio::test]
async fn what_cannot_be_run_is_refused_with_a_sentence_and_takes_no_name() {
    let parent = Parent::new().await;
    for (spec, status) in [
        (json!({"name": "j", "image": "${NOMAD_TOKEN}"}), 422),
        (json!({"name": "j", "image": "a b"}), 422),
        (json!({"name": "j", "command": ["a"], "script": "b"}), 422),
        (json!({"name": "j", "env": {"A": "\u{0}"}}), 422),
        (json!({"name": "j", "service": true}), 422),
        (json!({"name": "j", "script": "x".repeat(65 * 1024)}), 422),
        (json!({"name": "j", "script": "x".repeat(200 * 1024)}), 413),
        (json!({"name": "j", "unknown": 1}), 400),
        (json!({"name": "j", "needs": ["../x"]}), 400),
    ] {
        let reply = parent.put(&spec).await;
        refused(&reply, status);
    }
    let other = job("other");
    refused(&parent.ask("PUT", "/jobs/name", Some(&other)).await, 400);
    refused(&parent.ask("PUT", "/jobs/a%20b", Some(&job("a b"))).await, 400);
    assert_eq!(parent.jobs().await["jobs"], json!([]));
    assert_eq!(parent.world().nomad.dispatches(), 1);
}

#[tokio::test]
async fn only_the_holder_of_the_session_has_jobs() {
    let parent = Parent::new().await;
    parent.start(&job("test")).await;
    let path = format!("/session/{}/jobs", parent.claim);
    let one = format!("{path}/test");
    let wait = format!("{path}?wait=1s&since=1");
    for (method, path) in
        [("PUT", &one), ("GET", &path), ("GET", &wait), ("DELETE", &one), ("GET", &format!("{one}/log"))]
    {
        let body = (method == "PUT").then(|| job("test"));
        refused(&ask(&parent.story.serve, &secret(), method, path, body.as_ref()).await, 403);
    }
    let foreign = format!("/session/{}/jobs", "f".repeat(64));
    refused(&ask(&parent.story.serve, &parent.secret, "GET", &foreign, None).await, 403);
}

#[tokio::test]
async fn a_build_has_no_more_than_fifty_jobs() {
    let parent = Parent::new().await;
    // Nothing is dispatched: what counts is what is asked for.
    let _held = parent.world().nomad.faults().arm("*", "container/dispatch", Times::All, Fault::Text(500, "later"));
    let jobs: Vec<_> = (0..50).map(|n| json!({"name": format!("j{n}"), "hold": true})).collect();
    for spec in &jobs {
        let reply = parent.put(spec).await;
        assert_eq!(reply.status, 201, "{}", reply.text);
    }
    let reply = parent.put(&json!({"name": "one-more", "hold": true})).await;
    refused(&reply, 422);
    assert!(reply.text.contains("50"), "{}", reply.text);
    assert_eq!(parent.put(&jobs[0]).await.status, 200, "one that is there is no new one");
    assert_eq!(parent.jobs().await["jobs"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn the_jobs_of_a_build_are_bounded_together() {
    let parent = Parent::new().await;
    for n in 0..8 {
        let spec = json!({"name": format!("j{n}"), "hold": true, "script": "x".repeat(60 * 1024)});
        assert_eq!(parent.put(&spec).await.status, 201, "{n}");
    }
    let reply = parent.put(&json!({"name": "j8", "hold": true, "script": "x".repeat(60 * 1024)})).await;
    refused(&reply, 422);
    assert_eq!(parent.put(&json!({"name": "j9", "hold": true})).await.status, 201, "a small one has room");
}

#[tokio::test]
async fn a_job_starts_no_jobs() {
    let parent = Parent::new().await;
    let build = parent.start(&job("test")).await;
    let (granted, own) = grant(&parent, &build).await;
    assert_eq!(granted.status, 200, "{}", granted.text);
    let claim = parent.world().nomad.job(&build)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned();
    let path = format!("/session/{claim}/jobs/grandchild");
    refused(&ask(&parent.story.serve, &own, "PUT", &path, Some(&job("grandchild"))).await, 403);
}

#[tokio::test]
async fn a_build_that_is_over_or_being_stopped_starts_no_job() {
    let parent = Parent::new().await;
    parent.world().nomad.stubborn(true);
    let path = format!("/builds/{}", parent.story.build);
    let actor = Some(crate::fake::world::ACTOR);
    assert_eq!(crate::fake::world::person(&parent.story.serve, "DELETE", &path, actor).await.status, 202);
    refused(&parent.put(&job("test")).await, 410);
    parent.world().nomad.kill(&parent.story.build);
    parent.world().all_done(1).await;
    refused(&parent.put(&job("test")).await, 410);
    refused(&parent.ask("GET", "/jobs", None).await, 410);
    assert_eq!(parent.world().nomad.dispatches(), 1);
}

#[tokio::test]
async fn an_untrusted_build_with_a_builder_of_its_own_gets_out_of_it_by_no_job() {
    let push = Delivery::push("main", &commit(1), &commit(2)).sender("mallory");
    let parent = Parent::of(&push, |config| config["builders"] = json!({"untrusted": "builder"})).await;
    let reply = parent.put(&job("test")).await;
    refused(&reply, 403);
    assert!(reply.text.contains("builders.untrusted_jobs"), "{}", reply.text);
}

#[tokio::test]
async fn a_builder_without_controller_or_image_says_what_it_lacks() {
    use crate::fake::nomad::Builder;
    let parent = Parent::new().await;
    parent.world().nomad.register(&Builder::plain("container"));
    assert_eq!(parent.put(&job("test")).await.status, 201);
    let ended = parent.wait("it has ended", |job| job["ended"] == true).await;
    assert!(ended["reason"].as_str().unwrap().contains("no task `controller`"), "{ended}");
    assert_eq!(parent.world().nomad.dispatches(), 1, "no secrets went anywhere");
}
