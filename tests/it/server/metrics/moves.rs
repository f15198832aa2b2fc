//! Each number moves when its thing happens.

use super::super::blobs::Stage;
use super::{reached, risen, told, until};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::http::client;
use crate::fake::world::{SECRET, World, person};

#[tokio::test]
async fn a_build_moves_every_number_on_its_way() {
    let world = World::new().await;
    let serve = world.serve().await;
    let before = until(&serve, "albatros_follower", 1.0).await;
    assert_eq!(before["albatros_hooks_total{forge=\"gitea\",result=\"built\"}"], 0.0);

    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    until(&serve, "albatros_builds_open{state=\"queued\"}", 1.0).await;
    world.nomad.run(&build);
    let running = until(&serve, "albatros_builds_open{state=\"running\"}", 1.0).await;
    assert_eq!(running["albatros_builds_open{state=\"queued\"}"], 0.0, "it is in one state");
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let after = until(&serve, "albatros_builds_total{outcome=\"success\"}", 1.0).await;

    for (series, by) in [
        ("albatros_hooks_total{forge=\"gitea\",result=\"built\"}", 1.0),
        ("albatros_hook_seconds_count", 1.0),
        ("albatros_dispatch_seconds_count", 1.0),
        ("albatros_queue_seconds_count", 1.0),
        ("albatros_prepare_seconds_count", 1.0),
        ("albatros_run_seconds_count", 1.0),
        ("albatros_http_requests_total{route=\"/hook\",form=\"text\",class=\"2xx\"}", 1.0),
        ("albatros_http_request_seconds_count{route=\"/hook\"}", 1.0),
    ] {
        assert_eq!(risen(&before, &after, series), by, "{series}");
    }
    // The follower may have helped.
    let asked = "albatros_request_seconds_count{service=\"nomad\",call=\"dispatch a build\"}";
    assert!(risen(&before, &after, asked) >= 1.0);
    for series in [
        "albatros_statuses_total{result=\"posted\"}",
        "albatros_request_seconds_count{service=\"forge\",call=\"post a commit status\"}",
    ] {
        assert!(risen(&before, &after, series) >= 2.0, "a pending and a final one: {series}");
    }
    assert!(
        risen(&before, &after, "albatros_request_seconds_count{service=\"consul\",call=\"run a transaction\"}") > 0.0
    );
    until(&serve, "albatros_builds_open{state=\"reporting\"}", 0.0).await;
    assert_eq!(after["albatros_statuses_unposted"], 0.0);
    assert!(after["albatros_registry_age_seconds"] < 90.0);
    assert_eq!(after[&format!("albatros_build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))], 1.0);
}

#[tokio::test]
async fn each_answer_to_a_delivery_is_counted_under_its_word() {
    let world = World::new().await;
    let serve = world.serve().await;
    let push = Delivery::push("main", &commit(1), &commit(2));
    world.forge.push("quentin/albatros", "main", &commit(2));
    push.send(&serve.url, SECRET).await;
    push.send(&serve.url, SECRET).await;
    push.send(&serve.url, "guessed").await;
    Delivery::recorded("delete-branch").send(&serve.url, SECRET).await;
    Delivery::pull(5, &commit(9)).send(&serve.url, SECRET).await;
    client().post(format!("{}/hook", serve.url)).body("{").send().await.unwrap();
    let told = told(&serve).await;
    for (forge, result) in [
        ("gitea", "built"),
        ("gitea", "duplicate"),
        ("gitea", "unauthorized"),
        ("gitea", "ignored"),
        ("gitea", "held"),
        ("none", "refused"),
    ] {
        let series = format!("albatros_hooks_total{{forge=\"{forge}\",result=\"{result}\"}}");
        assert_eq!(told[&series], 1.0, "{series}");
    }
    let all: f64 = told.iter().filter(|(name, _)| name.starts_with("albatros_hooks_total")).map(|(_, n)| n).sum();
    assert_eq!(all, 6.0);
    until(&serve, "albatros_builds_open{state=\"held\"}", 1.0).await;
}

#[tokio::test]
async fn no_private_build_is_in_a_number_about_builds() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let build = world.build_by(&serve, &Delivery::push("main", &commit(1), &commit(2)).private()).await;
    world.nomad.run(&build);
    world.forge.wait_state(&commit(2), "pending").await;
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    // A public one behind it, so that the private one has surely been counted or not.
    let public = world.build(&serve, "other", &commit(1), &commit(3)).await;
    world.nomad.run(&public);
    let running = until(&serve, "albatros_builds_open{state=\"running\"}", 1.0).await;
    assert_eq!(running["albatros_builds_total{outcome=\"success\"}"], 0.0);
    assert_eq!(running["albatros_run_seconds_count"], 0.0);
    assert_eq!(running["albatros_dispatch_seconds_count"], 1.0, "the public one");
    assert!(running.keys().all(|series| !series.contains("quentin") && !series.contains("builder")), "{running:#?}");
}

#[tokio::test]
async fn a_forge_that_takes_no_status_is_seen() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut refused = world.forge.faults().arm("POST", "/statuses/", Times::All, Fault::Html(502));
    world.push(&serve, "main", &commit(1), &commit(2)).await;
    refused.hit(1).await;
    let told = until(&serve, "albatros_statuses_unposted", 1.0).await;
    assert!(told["albatros_statuses_oldest_seconds"] > 0.0);
    let errors = "albatros_request_errors_total{service=\"forge\",call=\"post a commit status\",error=\"failed\"}";
    reached(&serve, errors, 1.0).await;
    reached(&serve, "albatros_statuses_total{result=\"retried\"}", 1.0).await;
    world.all_work();
    let told = until(&serve, "albatros_statuses_unposted", 0.0).await;
    assert!(told["albatros_statuses_total{result=\"posted\"}"] >= 1.0);
    assert_eq!(told["albatros_statuses_oldest_seconds"], 0.0);
}

#[tokio::test]
async fn what_a_build_s_controller_asks_for_is_counted_by_route() {
    let stage = Stage::new().await;
    let build = stage.build(2).await;
    stage.put(&build, "artifacts/report", b"all is well").await;
    assert_eq!(stage.get(&build, "artifacts/report").await.text, "all is well");
    let told = told(&stage.serve).await;
    for (series, value) in [
        ("albatros_sessions_total{result=\"granted\"}", 1.0),
        ("albatros_blob_bytes_total{kind=\"artifact\",direction=\"in\"}", 11.0),
        ("albatros_blob_bytes_total{kind=\"artifact\",direction=\"out\"}", 11.0),
        ("albatros_http_requests_total{route=\"/session\",form=\"text\",class=\"2xx\"}", 1.0),
        ("albatros_http_requests_total{route=\"/session/{claim}/uploads/{upload}\",form=\"text\",class=\"2xx\"}", 1.0),
    ] {
        assert_eq!(told.get(series), Some(&value), "{series}: {told:#?}");
    }
    assert!(told.keys().any(|series| series.starts_with("albatros_request_seconds_count{service=\"store\"")));
    assert!(told.keys().all(|series| !series.contains(&build.claim)));
}

#[tokio::test]
async fn readers_of_a_log_are_counted_while_they_read() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    world.nomad.say(&build, "first words");
    let url = format!("{}/build?job={build}&log=stdout", serve.url);
    let reader = client().get(url).send().await.unwrap();
    assert_eq!(reader.status(), 200);
    until(&serve, "albatros_log_readers", 1.0).await;
    until(&serve, "albatros_log_upstreams", 1.0).await;
    drop(reader);
    until(&serve, "albatros_log_readers", 0.0).await;
}

#[tokio::test]
async fn services_that_fail_are_told_apart() {
    let world = World::new().await;
    let serve = world.serve().await;
    let limit = "albatros_request_errors_total{service=\"nomad\",call=\"dispatch a build\",error=\"busy\"}";
    world.nomad.faults().arm("*", "/dispatch", Times::Next(1), Fault::TooMany);
    world.push(&serve, "main", &commit(1), &commit(2)).await;
    until(&serve, limit, 1.0).await;
    let broken = "albatros_request_errors_total{service=\"consul\",call=\"run a transaction\",error=\"broken\"}";
    world.consul.faults().arm("PUT", "/v1/txn", Times::Next(1), Fault::CutBefore);
    let reply = world.push(&serve, "main", &commit(2), &commit(3)).await;
    assert_ne!(reply.status, 401);
    until(&serve, broken, 1.0).await;
    assert_eq!(person(&serve, "GET", "/healthz", None).await.text, "ok\n");
    world.all_work();
}
