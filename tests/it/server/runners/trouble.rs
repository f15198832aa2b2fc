//! Deliveries that are lost, forges that are away, runners that die, and servers that are killed at each step.

use albatros::domain::claim::of_runner;
use albatros::domain::config::RepoConfig;
use albatros::domain::plan::Site;

use super::*;
use crate::fake::delivery::REPO as URL;
use crate::fake::fault::{Fault, Times};
use crate::fake::world::DONE;

#[tokio::test]
async fn a_lost_delivery_is_made_good_by_asking_the_forge() {
    let world = world(&pool()).await;
    world.forge.queue(REPO, &[LABEL]);
    let serve = world.serve().await;
    let (build, id) = registered(&world, &serve, 1).await;
    let job = world.forge.take_job(id).unwrap();
    done(&world, &build, &job);
    world.all_done(1).await;
    assert_eq!(world.nomad.dispatches(), 1);
}

#[tokio::test]
async fn a_forged_delivery_starts_nothing() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    let mut job = world.forge.queue(REPO, &[LABEL]);
    world.forge.finish_job(job.id, "cancelled");
    job.status = "queued".to_owned();
    let forged = Delivery::job(&job).send(&serve.url, "another secret").await;
    let unknown = Delivery::job(&job).repo("http://127.0.0.1:3300/nobody/x.git").send(&serve.url, SECRET).await;
    assert_eq!((forged.status, unknown.status), (401, 401));
    assert_eq!(forged.text, unknown.text, "who may not know hears the same");
    assert!(world.open().is_empty() && world.nomad.dispatches() == 0);
}

#[tokio::test]
async fn runners_that_die_without_a_job_are_replaced_and_somebody_is_told() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    let job = world.forge.queue(REPO, &[LABEL]);
    deliver(&serve, &job).await;
    for n in 1..=3 {
        let (build, _) = registered(&world, &serve, n).await;
        world.nomad.exit(&build, 1);
    }
    let (build, id) = registered(&world, &serve, 4).await;
    serve.printed.wait("end without taking it").await;
    assert_eq!(world.forge.take_job(id).unwrap().id, job.id);
    done(&world, &build, &job);
    world.all_done(4).await;
    assert_eq!(world.nomad.dispatches(), 4);
    assert!(world.forge.runners().is_empty());
}

#[tokio::test]
async fn a_builder_that_is_missing_costs_a_job_no_try() {
    let world = world(&json!([{"labels": [LABEL], "builder": "later"}])).await;
    let serve = world.serve().await;
    world.followed().await;
    let job = world.forge.queue(REPO, &[LABEL]);
    deliver(&serve, &job).await;
    world.none_open().await;
    assert!(world.done().is_empty(), "it was no try");
    world.nomad.register(&Builder::full("later"));
    let build = world.nomad.child("later", 1).await;
    let (build, id) = register_build(&world, &serve, build).await;
    assert_eq!(open_runners(&world)[0]["attempt"], 1);
    done(&world, &build, &world.forge.take_job(id).unwrap());
    world.all_done(1).await;
}

#[tokio::test]
async fn a_registration_that_fails_for_a_while_is_asked_for_again() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    deliver(&serve, &world.forge.queue(REPO, &[LABEL])).await;
    let build = world.nomad.child("runner", 1).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    let locked = r#"{"code":"unknown","message":"database is locked"}"#;
    world.forge.faults().arm("POST", "/Register", Times::Next(1), Fault::Text(500, locked));
    let (later, claim, secret) = registration(&world, &serve, &build).await;
    assert_eq!(later.status, 503, "{}", later.text);
    let reply = register(&serve, &claim, &secret).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn how_long_a_forge_wants_to_be_left_alone_is_told_to_who_asks_for_a_registration() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    deliver(&serve, &world.forge.queue(REPO, &[LABEL])).await;
    let build = world.nomad.child("runner", 1).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    world.forge.faults().arm("POST", "/Register", Times::Next(1), Fault::LeaveAlone("77"));
    let (later, claim, secret) = registration(&world, &serve, &build).await;
    assert_eq!((later.status, later.headers["retry-after"].to_str().unwrap()), (503, "77"), "{}", later.text);
    assert_eq!(register(&serve, &claim, &secret).await.status, 200);
}

#[tokio::test]
async fn a_job_whose_runners_were_ended_or_had_others_jobs_gets_another_however_often() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    let job = world.forge.queue(REPO, &[LABEL]);
    deliver(&serve, &job).await;
    registered(&world, &serve, 1).await;
    deliver(&serve, &world.forge.finish_job(job.id, "cancelled")).await;
    world.all_done(1).await;
    let (key, ended) = world.done()[0].clone();
    assert!(key.ends_with(&claim_of(&world, job.id, 1)), "as the server makes them");
    assert_eq!(ended["outcome"]["is"], "cancelled", "{ended}");
    serve.kill().await;
    world.let_locks_go();
    let job = world.forge.queue(REPO, &[LABEL]);
    for attempt in 1..=40 {
        world.consul.put(&format!("{DONE}{}", claim_of(&world, job.id, attempt)), ended.to_string());
    }
    let _serve = world.serve().await;
    until(&world, "its 41st runner", |open| open.iter().any(|runner| runner["attempt"] == 41)).await;
    assert_eq!(world.open().len(), 1);
}

/// The claim of a runner, by the same words as the server's.
fn claim_of(world: &World, job: u64, attempt: u32) -> String {
    let mut config = world.config();
    config["runners"] = pool();
    let config = RepoConfig::parse(config.to_string().as_bytes()).unwrap();
    of_runner(&config, &Site::default(), (URL, job, 0, attempt)).as_str().to_owned()
}

#[tokio::test]
async fn a_runner_that_runs_longer_than_its_pool_allows_is_stopped_and_removed() {
    let world = world(&json!([{"labels": [LABEL], "timeout": "1s"}])).await;
    let serve = world.serve().await;
    world.followed().await;
    deliver(&serve, &world.forge.queue(REPO, &[LABEL])).await;
    let (build, id) = registered(&world, &serve, 1).await;
    let job = world.forge.take_job(id).unwrap();
    world.nomad.wait("it is stopped", || world.nomad.job(&build)["Stop"] == true).await;
    world.forge.finish_job(job.id, "failure");
    world.all_done(1).await;
    assert_eq!(world.done()[0].1["outcome"]["is"], "timeout");
    assert!(world.forge.runners().is_empty());
}

#[tokio::test]
async fn a_forge_that_is_away_for_a_while_loses_no_job_and_keeps_no_runner() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    let job = world.forge.queue(REPO, &[LABEL]);
    deliver(&serve, &job).await;
    let (build, id) = registered(&world, &serve, 1).await;
    let taken = world.forge.take_job(id).unwrap();
    let mut away = world.forge.faults().arm("*", "/actions/", Times::All, Fault::Text(502, "away"));
    world.nomad.exit(&build, 1);
    away.hit(2).await;
    assert_eq!(world.forge.runners().len(), 1, "nobody could remove it");
    world.forge.faults().clear();
    world.all_done(1).await;
    assert!(world.forge.runners().is_empty());
    assert_eq!(world.done()[0].1["outcome"]["is"], "infra", "its end is no workflow's");
    assert_eq!(taken.id, job.id);
}

/// A forge with more runners than are read.
const ENDLESS: Fault = Fault::Text(200, r#"{"total_count": 9000, "runners": []}"#);

#[tokio::test]
async fn a_runner_goes_from_a_list_that_is_too_long_to_be_read() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    deliver(&serve, &world.forge.queue(REPO, &[LABEL])).await;
    let (build, _) = registered(&world, &serve, 1).await;
    world.forge.faults().arm("GET", "/actions/runners", Times::All, ENDLESS);
    deliver(&serve, &world.forge.finish_job(1, "cancelled")).await;
    world.nomad.exit(&build, 1);
    world.all_done(1).await;
    assert!(world.forge.runners().is_empty(), "by its number");
}

#[tokio::test]
async fn a_runner_whose_number_is_not_known_is_looked_for_until_the_list_is_whole() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    deliver(&serve, &world.forge.queue(REPO, &[LABEL])).await;
    let build = world.nomad.child("runner", 1).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    world.forge.faults().arm("POST", "/Register", Times::All, Fault::CutAfter);
    let (reply, ..) = registration(&world, &serve, &build).await;
    assert_eq!((reply.status, world.forge.runners().len()), (503, 1), "{}", reply.text);
    deliver(&serve, &world.forge.finish_job(1, "cancelled")).await;
    let mut asked = world.forge.faults().arm("GET", "/actions/runners", Times::All, ENDLESS);
    world.nomad.exit(&build, 1);
    serve.printed.wait("lists more runners than are read").await;
    asked.hit(1).await;
    assert_eq!(world.open().len(), 1, "it is not given up");
    world.forge.faults().clear();
    world.all_done(1).await;
    assert!(world.forge.runners().is_empty());
}

#[tokio::test]
async fn what_a_killed_server_left_is_taken_over_at_each_step() {
    let world = world(&pool()).await;
    let mut serve = world.serve().await;
    world.followed().await;
    let job = world.forge.queue(REPO, &[LABEL]);
    deliver(&serve, &job).await;
    // After the claim.
    serve = next(&world, serve).await;
    let build = world.nomad.child("runner", 1).await;
    // After the dispatch.
    serve = next(&world, serve).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    // While it is being registered: the forge has it, and the answer never comes.
    let mut hangs = world.forge.faults().arm("POST", "/Register", Times::Next(1), Fault::HangAfter);
    let asked = {
        let (url, secret) = (serve.url.clone(), secret());
        let token = world.nomad.sign(&world.nomad.claims(&build));
        let claim = world.nomad.job(&build)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned();
        assert_eq!(exchange(&serve, &token, &claim, &secret).await.status, 200);
        let (of, with) = (claim.clone(), secret.clone());
        tokio::spawn(async move { client().post(format!("{url}/session/{of}/runner")).bearer_auth(with).send().await });
        (claim, secret)
    };
    hangs.hit(1).await;
    serve = next(&world, serve).await;
    world.forge.faults().clear();
    let again = register(&serve, &asked.0, &asked.1).await;
    assert_eq!(again.status, 200, "{}", again.text);
    assert_eq!((world.forge.registered(), world.forge.runners().len()), (2, 1), "the first is removed");
    world.nomad.run(&build);
    // While its job runs.
    let taken = world.forge.take_job(world.forge.runners()[0].id).unwrap();
    serve = next(&world, serve).await;
    until(&world, "it is known who has the job", |open| open.first().is_some_and(|it| !it["taken"].is_null())).await;
    done(&world, &build, &taken);
    world.all_done(1).await;
    assert_eq!((world.nomad.dispatches(), world.forge.runners().len()), (1, 0));
    drop(serve);
}

#[tokio::test]
async fn runners_of_ours_that_nobody_knows_are_removed_and_others_stay() {
    let world = world(&pool()).await;
    let serve = world.serve().await;
    world.followed().await;
    deliver(&serve, &world.forge.queue(REPO, &[LABEL])).await;
    let (_, id) = registered(&world, &serve, 1).await;
    let name = world.forge.runners()[0].name.clone();
    let left = format!("{}-{}", name.rsplit_once('-').unwrap().0, "0123456789ab");
    let (left, own) = (world.forge.list_runner(REPO, &left), world.forge.list_runner(REPO, "somebody-s"));
    let has = |id: u64| world.forge.runners().iter().any(|runner| runner.id == id);
    world.forge.wait("what is left over is removed", || !has(left)).await;
    assert!(has(own) && has(id));
}

async fn next(world: &World, serve: Serve) -> Serve {
    let next = world.serve().await;
    serve.kill().await;
    world.let_locks_go();
    next
}
