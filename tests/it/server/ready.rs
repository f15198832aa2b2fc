//! Whether a server is ready, and what it says where it is not.

use std::time::Duration;

use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::http::send;
use crate::fake::nomad::{Builder, KEYS};
use crate::fake::world::{SECRET, World};

#[tokio::test]
async fn a_missing_right_is_named() {
    let world = World::new().await;
    let serve = world.serve().await;
    assert_eq!(send(&serve.url, "GET", "/readyz", None).await.text, "ready\n");
    for right in ["list-jobs", "read-job", "dispatch-job"] {
        world.nomad.deny(right);
        let reply = send(&serve.url, "GET", "/readyz", None).await;
        assert_eq!(reply.status, 503);
        assert!(reply.text.contains(right), "{right}: {}", reply.text);
    }
    assert_eq!(send(&serve.url, "GET", "/healthz", None).await.status, 200);
}

/// Without them no build can prove which one it is.
#[tokio::test]
async fn keys_of_identities_that_cannot_be_read_are_told() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.nomad.faults().arm("GET", KEYS, Times::All, Fault::Text(404, "Invalid URL"));
    let reply = send(&serve.url, "GET", "/readyz", None).await;
    assert_eq!(reply.status, 503);
    assert!(reply.text.contains("keys of workload identities"), "{}", reply.text);
    world.all_work();
    assert_eq!(send(&serve.url, "GET", "/readyz", None).await.status, 200);
}

/// Whoever asks, however often, Nomad and Consul are looked at once at a time.
#[tokio::test]
async fn many_who_ask_at_once_share_one_look() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.followed().await;
    let looks = || world.nomad.wire().seen().iter().filter(|one| one.path.contains("/v1/namespace")).count();
    let slow = Fault::Slow(Duration::from_millis(300));
    world.nomad.faults().arm("GET", "/v1/namespace", Times::All, slow);
    let before = looks();
    let asks = (0..40).map(|_| send(&serve.url, "GET", "/readyz", None));
    let replies = futures_util::future::join_all(asks).await;
    assert!(replies.iter().all(|reply| reply.status == 200), "{replies:?}");
    let looks = looks() - before;
    assert!((1..=4).contains(&looks), "{looks} looks for 40 questions");
}

#[tokio::test]
async fn a_server_that_starts_before_its_services_is_ready_once_they_are() {
    let world = World::new().await;
    for wire in [world.nomad.wire(), world.consul.wire()] {
        wire.down(true);
    }
    let serve = world.serve().await;
    assert_eq!(send(&serve.url, "GET", "/healthz", None).await.status, 200);
    assert_eq!(send(&serve.url, "GET", "/readyz", None).await.status, 503);
    let early = Delivery::push("main", &commit(1), &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(early.status, 503, "{}", early.text);
    for wire in [world.nomad.wire(), world.consul.wire()] {
        wire.down(false);
    }
    world.followed().await;
    let reply = world.push(&serve, "main", &commit(1), &commit(2)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(send(&serve.url, "GET", "/readyz", None).await.status, 200);
}

#[tokio::test]
async fn prefix_and_namespace_can_be_others() {
    let world = World::new().await;
    world.set("ALBATROS_PREFIX", "team/ci");
    world.set("ALBATROS_NAMESPACE", "builds");
    world.nomad.register(&Builder::plain("elsewhere").namespace("builds"));
    let mut config = world.config();
    config["builders"] = serde_json::json!({"default": "elsewhere"});
    world.consul.put_repo("team/ci", crate::fake::delivery::REPO, &config);
    let serve = world.serve().await;
    let reply = world.push(&serve, "main", &commit(1), &commit(2)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let build = world.nomad.child("elsewhere", 1).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    let all = "team/ci-builds/";
    world.consul.wait(all, "it is done", |keys| keys.iter().any(|(key, _)| key.contains("/done/"))).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
    assert!(world.consul.list("albatros-builds/").is_empty());
}

#[tokio::test]
async fn a_setting_that_is_wrong_is_named_at_the_start() {
    for (name, value, words) in [
        ("ALBATROS_LISTEN", "nowhere", "ALBATROS_LISTEN"),
        ("ALBATROS_QUEUE_LIMIT", "soon", "ALBATROS_QUEUE_LIMIT"),
        ("NOMAD_CLIENT_CERT", "/only/half.pem", "NOMAD_CLIENT_KEY"),
        ("NOMAD_ADDR", "ftp://x", "NOMAD_ADDR"),
    ] {
        let ended = tokio::process::Command::new(env!("CARGO_BIN_EXE_albatros"))
            .arg("serve")
            .env_clear()
            .env(name, value)
            .output()
            .await
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
    }
}
