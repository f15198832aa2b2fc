//! Pull requests from outside: held until somebody approves, and never with secrets.

use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, READER, SECRET, World, person};

async fn held(world: &World, serve: &Serve, n: u64) -> String {
    world.forge.commit("quentin/albatros", &commit(n));
    let reply = Delivery::pull(3, &commit(n)).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert!(reply.text.contains("/builds/claim/"), "{}", reply.text);
    let pending = world.forge.wait_state(&commit(n), "pending").await;
    assert_eq!(pending.description, "Waiting for approval");
    assert_eq!(pending.context, "Albatros default (pull request)");
    let of_commit = world.open().into_iter().find(|(_, record)| record["commit"] == commit(n));
    of_commit.unwrap().0
}

#[tokio::test]
async fn what_is_approved_is_built_without_secrets() {
    let world = World::new().await;
    let serve = world.serve().await;
    let claim = held(&world, &serve, 2).await;
    let approve = format!("/builds/claim/{claim}/approve");
    for bearer in [None, Some("guessed"), Some(READER)] {
        assert_eq!(person(&serve, "POST", &approve, bearer).await.status, 401, "{bearer:?}");
    }
    assert_eq!(world.nomad.dispatches(), 0);
    let approved = person(&serve, "POST", &approve, Some(ACTOR)).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
    let build = world.nomad.child("builder", 1).await;
    assert_eq!(approved.text.trim_end(), build);
    let job = world.nomad.job(&build);
    assert!(job["Payload"].is_null(), "no secrets: {}", job["Payload"]);
    assert_eq!(job["Meta"]["COMMIT"], commit(2));
    assert_eq!(job["Meta"]["REF"], "refs/pull/3/head");
    assert_eq!(job["Meta"]["TRUSTED"], "false");
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let last = world.final_status(&commit(2));
    assert_eq!((last.state.as_str(), last.context.as_str()), ("success", "Albatros default (pull request)"));
}

#[tokio::test]
async fn an_approval_dies_with_a_new_push() {
    let world = World::new().await;
    let serve = world.serve().await;
    let claim = held(&world, &serve, 2).await;
    world.forge.commit("quentin/albatros", &commit(3));
    let pushed = Delivery::pull_pushed(3, &commit(3)).send(&serve.url, SECRET).await;
    assert_eq!(pushed.status, 202, "{}", pushed.text);
    world.forge.wait_state(&commit(2), "failure").await;
    let late = person(&serve, "POST", &format!("/builds/claim/{claim}/approve"), Some(ACTOR)).await;
    assert_eq!(late.status, 409, "{}", late.text);
    assert_eq!(world.nomad.dispatches(), 0);
    assert!(world.final_status(&commit(2)).description.starts_with("Cancelled"));
}

#[tokio::test]
async fn another_flavor_of_the_same_commit_stays_held() {
    let world = World::new().await;
    let serve = world.serve().await;
    let claim = held(&world, &serve, 2).await;
    let other = Delivery::pull(3, &commit(2)).flavor("big").send(&serve.url, SECRET).await;
    assert_eq!(other.status, 202, "{}", other.text);
    let open = world.open();
    assert_eq!(open.len(), 2);
    assert!(open.iter().all(|(_, record)| record["stop"].is_null()), "{open:?}");
    let approved = person(&serve, "POST", &format!("/builds/claim/{claim}/approve"), Some(ACTOR)).await;
    assert_eq!(approved.status, 200, "{}", approved.text);
}

#[tokio::test]
async fn a_delivery_that_comes_late_ends_nothing_newer() {
    let world = World::new().await;
    let serve = world.serve().await;
    held(&world, &serve, 3).await;
    let head = format!(r#"{{"head":{{"sha":"{}"}}}}"#, commit(3));
    let asked =
        world.forge.faults().arm("GET", "/pulls/3", Times::All, Fault::Text(200, Box::leak(head.into_boxed_str())));
    world.forge.commit("quentin/albatros", &commit(2));
    let late = Delivery::pull_pushed(3, &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(late.status, 202, "{}", late.text);
    assert!(asked.hits() > 0);
    let newer = world.open().into_iter().find(|(_, record)| record["commit"] == commit(3)).unwrap();
    assert!(newer.1["stop"].is_null(), "{}", newer.1);
}

/// The claim is written by then: a forge that is told 503 would say that nothing came of its delivery.
#[tokio::test]
async fn a_change_that_was_claimed_is_taken_though_older_ones_cannot_be_looked_for() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.followed().await;
    world.forge.commit("quentin/albatros", &commit(2));
    let lists = "open%2F?";
    let armed = world.consul.faults().arm("GET", lists, Times::All, Fault::Text(500, "No cluster leader"));
    let reply = Delivery::pull(3, &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert!(armed.hits() > 0);
    world.consul.faults().clear();
    world.forge.wait_state(&commit(2), "pending").await;
}

#[tokio::test]
async fn what_is_held_ends_when_the_pull_request_is_closed() {
    let world = World::new().await;
    let serve = world.serve().await;
    held(&world, &serve, 2).await;
    let closed = Delivery::pull_closed(3, &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(closed.status, 200, "{}", closed.text);
    assert!(closed.text.starts_with("ignored: "), "{}", closed.text);
    world.none_open().await;
    assert_eq!(world.final_status(&commit(2)).state, "failure");
    assert_eq!(world.nomad.dispatches(), 0);
}

#[tokio::test]
async fn what_is_held_can_be_cancelled() {
    let world = World::new().await;
    let serve = world.serve().await;
    let claim = held(&world, &serve, 2).await;
    let path = format!("/builds/claim/{claim}");
    assert_eq!(person(&serve, "DELETE", &path, None).await.status, 401);
    assert_eq!(person(&serve, "DELETE", &path, Some(ACTOR)).await.status, 202);
    world.none_open().await;
    assert_eq!(world.final_status(&commit(2)).state, "failure");
}

#[tokio::test]
async fn a_configuration_may_build_them_at_once_or_ignore_them() {
    let world = World::new().await;
    let serve = world.serve().await;
    // The forge is asked for the commit's message first.
    for (policy, n, status) in [("build", 2, 202), ("ignore", 3, 200)] {
        let mut config = world.config();
        config["pull_requests"] = policy.into();
        world.put_config(&config);
        world.forge.commit("quentin/albatros", &commit(n));
        let reply = Delivery::pull(3, &commit(n)).send(&serve.url, SECRET).await;
        assert_eq!(reply.status, status, "{policy}: {}", reply.text);
        assert_eq!(reply.text.starts_with("ignored: "), policy == "ignore", "{}", reply.text);
    }
    let build = world.nomad.child("builder", 1).await;
    assert!(world.nomad.job(&build)["Payload"].is_null());
    assert_eq!(world.nomad.dispatches(), 1);
}
