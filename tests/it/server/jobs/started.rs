//! How often a job is started, how its state is told, and how it is stopped.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{Parent, ask, job};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::server::session::refused;

#[tokio::test]
async fn a_job_is_started_once_however_often_and_wherever_it_is_put() {
    let parent = Parent::new().await;
    let other = parent.world().serve().await;
    let path = format!("/session/{}/jobs/test", parent.claim);
    let spec = job("test");
    let puts = (0..8).map(|n| {
        let serve = if n % 2 == 0 { &parent.story.serve } else { &other };
        ask(serve, &parent.secret, "PUT", &path, Some(&spec))
    });
    let replies = join_all(puts).await;
    assert!(replies.iter().all(|reply| matches!(reply.status, 200 | 201)), "{replies:?}");
    assert_eq!(replies.iter().filter(|reply| reply.status == 201).count(), 1, "{replies:?}");
    let build = parent.world().nomad.child("container", 1).await;
    parent.world().nomad.run(&build);
    parent.wait("it runs", |job| job["state"] == "running").await;
    parent.world().nomad.exit(&build, 3);
    let ended = parent.wait("it has ended", |job| job["ended"] == true).await;
    assert_eq!((&ended["state"], &ended["exit_code"], &ended["build"]), (&json!("failure"), &json!(3), &json!(build)));
    assert!(ended["reason"].as_str().unwrap().starts_with("Failed with exit 3"), "{ended}");

    parent.world().consul.wait("albatros-builds/", "it is settled", |_| parent.done_job().is_some()).await;
    let again = parent.put(&spec).await;
    assert_eq!((again.status, &again.value()["state"]), (200, &json!("failure")), "{}", again.text);
    assert_eq!(parent.world().nomad.dispatches(), 2, "the parent and its job");
}

#[tokio::test]
async fn another_job_of_the_same_name_is_refused_while_it_runs_and_after() {
    let parent = Parent::new().await;
    let build = parent.start(&job("test")).await;
    let other = json!({"name": "test", "command": ["false"]});
    refused(&parent.put(&other).await, 409);
    parent.world().nomad.run(&build);
    parent.world().nomad.exit(&build, 0);
    parent.world().consul.wait("albatros-builds/", "it is settled", |_| parent.done_job().is_some()).await;
    refused(&parent.put(&other).await, 409);
    assert_eq!(parent.put(&job("test")).await.status, 200);
    assert_eq!(parent.world().nomad.dispatches(), 2);
}

/// The answer to the caller may be late; the job is not.
#[tokio::test]
async fn a_job_that_nomad_does_not_take_at_once_is_dispatched_by_the_follower() {
    let parent = Parent::new().await;
    parent.world().followed().await;
    let mut armed =
        parent.world().nomad.faults().arm("*", "container/dispatch", Times::Next(1), Fault::Text(500, "no"));
    let reply = parent.put(&job("test")).await;
    assert_eq!((reply.status, &reply.value()["state"]), (201, &json!("claimed")), "{}", reply.text);
    armed.hit(1).await;
    parent.world().nomad.child("container", 1).await;
    parent.wait("it is named", |job| job["build"].is_string()).await;
}

#[tokio::test]
async fn no_forge_is_told_of_a_job() {
    let parent = Parent::new().await;
    let job_build = parent.start(&job("test")).await;
    parent.world().nomad.run(&job_build);
    parent.world().nomad.exit(&job_build, 1);
    parent.wait("it has ended", |job| job["ended"] == true).await;
    let failed = parent.world().forge.of(&commit(2)).into_iter().find(|status| status.state != "pending");
    assert_eq!(failed, None, "of a job");
    parent.world().nomad.exit(&parent.story.build, 0);
    parent.world().all_done(2).await;
    assert_eq!(parent.world().final_status(&commit(2)).state, "success");
    let links = parent.world().forge.of(&commit(2));
    assert!(links.iter().all(|status| !status.target_url.contains("container")), "{links:?}");
}

#[tokio::test]
async fn a_job_that_cannot_be_dispatched_is_told_as_such_and_never_forgotten() {
    let parent = Parent::of(&Delivery::push("main", &commit(1), &commit(2)), |config| {
        config["builders"] = json!({"jobs": "nowhere"});
    })
    .await;
    assert_eq!(parent.put(&job("test")).await.status, 201);
    let ended = parent.wait("it has ended", |job| job["ended"] == true).await;
    assert_eq!((&ended["state"], &ended["exit_code"]), (&json!("infra"), &Value::Null));
    assert!(ended["reason"].as_str().unwrap().contains("`nowhere`"), "{ended}");
    parent.world().consul.wait("albatros-builds/", "it is kept", |_| parent.done_job().is_some()).await;
    assert_eq!(parent.put(&job("test")).await.value()["state"], "infra");
    assert_eq!(parent.world().nomad.dispatches(), 1);
}

#[tokio::test]
async fn a_list_is_held_until_something_is_another() {
    let parent = Parent::new().await;
    let build = parent.start(&job("test")).await;
    parent.wait("it is queued", |job| job["state"] == "queued" && job["build"].is_string()).await;
    let version = parent.jobs().await["version"].clone();
    let path = format!("/jobs?wait=25s&since={version}");
    let waits = parent.ask("GET", &path, None);
    let (list, ()) = tokio::join!(waits, async { parent.world().nomad.run(&build) });
    assert_eq!(list.status, 200, "{}", list.text);
    assert_ne!(list.value()["version"], version);
    let runs = parent.wait("it runs", |job| job["state"] == "running").await;
    let version = parent.jobs().await["version"].clone();
    let same = parent.ask("GET", &format!("/jobs?wait=1s&since={version}"), None).await.value();
    assert_eq!((&same["version"], &same["jobs"][0]), (&version, &runs), "nothing has changed");
}

#[tokio::test]
async fn a_parent_stops_its_job() {
    let parent = Parent::new().await;
    let build = parent.start(&job("test")).await;
    parent.world().nomad.run(&build);
    assert_eq!(parent.ask("DELETE", "/jobs/test", None).await.status, 202);
    let ended = parent.wait("it has ended", |job| job["ended"] == true).await;
    assert_eq!(ended["state"], "cancelled");
    assert!(ended["reason"].as_str().unwrap().contains("the build that started it"), "{ended}");
    parent.world().consul.wait("albatros-builds/", "it is settled", |_| parent.done_job().is_some()).await;
    assert_eq!(parent.ask("DELETE", "/jobs/test", None).await.status, 204, "over already");
    refused(&parent.ask("DELETE", "/jobs/other", None).await, 404);
}

#[tokio::test]
async fn a_job_has_a_time_limit_of_its_own() {
    let parent = Parent::new().await;
    let build = parent.start(&json!({"name": "test", "timeout": "1s"})).await;
    parent.world().nomad.run(&build);
    let ended = parent.wait("it has ended", |job| job["ended"] == true).await;
    assert_eq!(ended["state"], "timeout", "{ended}");
    assert_eq!(parent.world().nomad.job(&parent.story.build)["Stop"], false);
}

#[tokio::test]
async fn a_job_s_log_is_read_by_its_parent() {
    let parent = Parent::new().await;
    let build = parent.start(&job("test")).await;
    parent.wait("it is named", |job| job["build"].is_string()).await;
    parent.world().nomad.run(&build);
    parent.world().nomad.say(&build, "words of a job");
    parent.world().nomad.exit(&build, 0);
    let log = parent.ask("GET", "/jobs/test/log?raw=1", None).await;
    assert_eq!((log.status, log.text.as_str()), (200, "words of a job\n"));
    refused(&parent.ask("GET", "/jobs/other/log", None).await, 404);
}
