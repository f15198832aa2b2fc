//! Building again what is over.

use serde_json::{Value, json};

use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::http::{Reply, client};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, READER, SECRET, World, person};

async fn retry(serve: &Serve, id: &str, bearer: Option<&str>) -> Reply {
    let mut request = client().post(format!("{}/builds/{id}/retry", serve.url)).header("accept", "application/json");
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    Reply::read(request.send().await.unwrap()).await
}

/// A build of a push that has failed and is reported.
async fn failed(world: &World, serve: &Serve, push: &Delivery) -> String {
    let build = world.build_by(serve, push).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 3);
    world.all_done(1).await;
    build
}

fn push() -> Delivery {
    Delivery::push("main", &commit(1), &commit(2))
}

#[tokio::test]
async fn what_is_over_is_built_again_with_trust_decided_anew() {
    let world = World::new().await;
    let (one, two) = (world.serve().await, world.serve().await);
    world.forge.push("quentin/albatros", "main", &commit(2));
    let build = failed(&world, &one, &push().flavor("big")).await;
    let (claim, first) = (world.done()[0].0.clone(), world.nomad.job(&build));
    assert_eq!(first["Meta"]["TRUSTED"], "true");
    let again = retry(&two, &build, Some(ACTOR)).await;
    assert_eq!(again.status, 200, "{}", again.text);
    let again = again.value()["build"].as_str().unwrap().to_owned();
    assert_ne!(again, build);
    let second = world.nomad.job(&again);
    for key in ["COMMIT", "BRANCH", "REF", "FLAVOR", "EVENT"] {
        assert_eq!(first["Meta"][key], second["Meta"][key], "{key}");
    }
    assert_eq!((&second["Meta"]["SENDER"], &second["Meta"]["TRUSTED"]), (&"@trigger".into(), &"false".into()));
    assert!(second["Payload"].is_null(), "nothing is inherited");
    assert_eq!(retry(&one, &again, Some(ACTOR)).await.status, 409, "it is not over");
    world.nomad.run(&again);
    world.nomad.exit(&again, 0);
    world.all_done(2).await;
    let done = world.done();
    let of_again = done.iter().find(|(_, done)| done["build"] == again.as_str()).unwrap();
    assert_eq!((&of_again.1["retry_of"], &of_again.1["before"]), (&claim.into(), &commit(1).into()));
    assert_eq!(world.forge.of(&commit(2)).last().unwrap().state, "success");
    // By its claim, and twice: each is a build of its own.
    for count in [3, 4] {
        let by_claim = retry(&one, &format!("claim/{}", of_again.0), Some(ACTOR)).await;
        assert_eq!(by_claim.status, 200, "{}", by_claim.text);
        assert_eq!(world.nomad.dispatches(), count);
    }
}

#[tokio::test]
async fn a_pull_request_is_built_again_without_another_approval() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.commit("quentin/albatros", &commit(2));
    Delivery::pull(3, &commit(2)).send(&serve.url, SECRET).await;
    let claim = world.open()[0].0.clone();
    assert_eq!(retry(&serve, &format!("claim/{claim}"), Some(ACTOR)).await.status, 409, "it is held, not over");
    person(&serve, "POST", &format!("/builds/claim/{claim}/approve"), Some(ACTOR)).await;
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 1);
    world.all_done(1).await;
    let again = retry(&serve, &build, Some(ACTOR)).await;
    assert_eq!(again.status, 200, "{}", again.text);
    let job = world.nomad.job(again.value()["build"].as_str().unwrap());
    let meta = &job["Meta"];
    assert_eq!((&meta["REF"], &meta["EVENT"]), (&"refs/pull/3/head".into(), &"pull_request".into()));
    assert_eq!((&meta["COMMIT"], &meta["TRUSTED"]), (&commit(2).into(), &"false".into()));
    assert_eq!(meta["BRANCH"], "pull/3/head");
}

#[tokio::test]
async fn who_may_not_act_builds_nothing_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let build = failed(&world, &serve, &push().private()).await;
    let claim = format!("claim/{}", world.done()[0].0);
    let none = retry(&serve, "builder/dispatch-1-00000000", None).await;
    assert_eq!(none.status, 404);
    for id in [build.as_str(), &claim] {
        for (bearer, status) in [(None, 404), (Some("guessed"), 404), (Some(READER), 401)] {
            let refused = retry(&serve, id, bearer).await;
            assert_eq!(refused.status, status, "{id} {bearer:?}: {}", refused.text);
            assert_eq!(refused.text == none.text, status == 404, "as if it were not there: {}", refused.text);
        }
    }
    assert_eq!(world.nomad.dispatches(), 1);
}

#[tokio::test]
async fn what_nobody_has_a_record_of_cannot_be_built_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    let meta = json!({"REPO_URL": REPO, "COMMIT": commit(1), "BRANCH": "b", "FLAVOR": "f"});
    let build = world.nomad.dispatch_as_stranger("builder", "", &meta);
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    let refused = retry(&serve, &build, Some(ACTOR)).await;
    assert!(refused.status == 422 && refused.text.contains("`trigger` builds a commit"), "{}", refused.text);
}

#[tokio::test]
async fn a_server_that_is_killed_between_claim_and_dispatch_loses_no_retry() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let build = failed(&world, &serve, &push()).await;
    let mut moment = world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::Hang);
    let request = client().post(format!("{}/builds/{build}/retry", serve.url)).bearer_auth(ACTOR);
    let asked = tokio::spawn(request.send());
    moment.hit(1).await;
    serve.kill().await;
    let _broken_off = asked.await.unwrap();
    world.all_work();
    world.let_locks_go();
    let _next = world.serve().await;
    let again = world.nomad.child("builder", 2).await;
    assert_ne!(again, build);
    world.nomad.run(&again);
    world.nomad.exit(&again, 0);
    world.all_done(2).await;
    assert_eq!(world.nomad.dispatches(), 2);
    let of_again: Vec<Value> =
        world.done().into_iter().map(|(_, done)| done).filter(|done| done["build"] == again).collect();
    assert!(of_again[0]["retry_of"].is_string(), "{of_again:?}");
}
