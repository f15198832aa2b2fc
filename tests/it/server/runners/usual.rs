//! A job is queued, gets its runner, and nothing is left when it is over.

use serde_json::json;

use super::*;
use crate::fake::delivery::REPO as URL;
use crate::fake::world::{ACTOR, person};

#[tokio::test]
async fn a_queued_job_gets_a_runner_of_its_pool_and_the_forge_lists_none_afterwards() {
    let pools =
        json!([{"labels": ["other"], "builder": "elsewhere"}, {"labels": ["ubuntu-latest:host"], "name": "ci"}]);
    let world = world(&pools).await;
    let serve = world.serve().await;
    world.followed().await;
    let job = world.forge.queue(REPO, &[LABEL]);
    let reply = deliver(&serve, &job).await;
    assert!(reply.status == 202 && reply.text.contains("a runner waits"), "{} {}", reply.status, reply.text);
    let again = deliver(&serve, &job).await;
    assert_eq!(again.status, 202, "the same delivery again starts nothing: {}", again.text);
    let (build, id) = registered(&world, &serve, 1).await;
    let meta = world.nomad.job(&build)["Meta"].clone();
    assert_eq!((meta["REPO_URL"].as_str(), meta["EVENT"].as_str()), (Some(URL), Some("workflow_job")));
    let listed = world.forge.runners();
    assert!(listed[0].name.starts_with("ci-") && listed[0].labels == [LABEL], "{listed:?}");
    let taken = world.forge.take_job(id).unwrap();
    let told = deliver(&serve, &taken).await;
    assert_eq!((told.status, told.text.contains("a runner of ours has the job")), (200, true), "{}", told.text);
    assert!(!open_runners(&world)[0]["taken"].is_null());
    done(&world, &build, &taken);
    world.all_done(1).await;
    assert!(world.forge.runners().is_empty() && world.forge.statuses().is_empty(), "no status and no runner is left");
    assert_eq!((world.nomad.dispatches(), world.forge.registered()), (1, 1));
    let (claim, _) = world.done()[0].clone();
    let claim = claim.rsplit('/').next().unwrap().to_owned();
    let shown = person(&serve, "GET", &format!("/builds/claim/{claim}"), Some(ACTOR)).await;
    assert!(shown.text.contains(&format!("runner for job {} of {URL}", job.id)), "{}", shown.text);
    let retried = person(&serve, "POST", &format!("/builds/claim/{claim}/retry"), Some(ACTOR)).await;
    assert_eq!(retried.status, 422, "{}", retried.text);
    assert!(retried.text.contains("at the forge"), "{}", retried.text);
}

#[tokio::test]
async fn labels_that_nobody_configured_start_nothing() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    for labels in [&["windows"][..], &[LABEL, "gpu"], &[]] {
        let reply = deliver(&serve, &world.forge.queue(REPO, labels)).await;
        assert_eq!((reply.status, reply.text.contains("no entry of `runners`")), (200, true), "{}", reply.text);
    }
    let ours = world.forge.queue(REPO, &[LABEL]);
    world.nomad.child("runner", 1).await;
    assert_eq!(world.open()[0].1["runner"]["job"]["id"], ours.id, "the forge was looked at, and only this job is ours");
    assert_eq!(world.open().len(), 1);
}

#[tokio::test]
async fn a_job_cancelled_before_its_start_stops_its_runner_at_once() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    let job = world.forge.queue(REPO, &[LABEL]);
    deliver(&serve, &job).await;
    let (build, _) = registered(&world, &serve, 1).await;
    let cancelled = world.forge.finish_job(job.id, "cancelled");
    deliver(&serve, &cancelled).await;
    world.nomad.wait("the runner is stopped", || world.nomad.job(&build)["Stop"] == true).await;
    world.all_done(1).await;
    assert!(world.forge.runners().is_empty());
}

#[tokio::test]
async fn a_job_cancelled_while_it_runs_stops_its_runner_though_nobody_tells() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    let job = world.forge.queue(REPO, &[LABEL]);
    deliver(&serve, &job).await;
    let (build, id) = registered(&world, &serve, 1).await;
    world.forge.take_job(id).unwrap();
    until(&world, "the forge was asked who has the job", |open| !open[0]["taken"].is_null()).await;
    world.forge.finish_job(job.id, "cancelled");
    world.nomad.wait("the runner is stopped", || world.nomad.job(&build)["Stop"] == true).await;
    world.all_done(1).await;
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_made_anew_and_the_first_is_removed() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    deliver(&serve, &world.forge.queue(REPO, &[LABEL])).await;
    let build = world.nomad.child("runner", 1).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    let (first, claim, secret) = registration(&world, &serve, &build).await;
    let second = register(&serve, &claim, &secret).await;
    assert_eq!((first.status, second.status), (200, 200), "{}", second.text);
    assert_eq!((world.forge.registered(), world.forge.runners().len()), (2, 1));
    let stranger = register(&serve, &claim, &super::secret()).await;
    assert_eq!(stranger.status, 403, "{}", stranger.text);
    world.nomad.exit(&build, 0);
    until(&world, "its end", |open| open.iter().all(|runner| runner["attempt"] != 1)).await;
    let over = register(&serve, &claim, &secret).await;
    assert_eq!(over.status, 410, "{}", over.text);
}
