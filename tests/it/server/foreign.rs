//! Children that somebody else dispatched with our token.

use serde_json::json;

use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::world::{SECRET, World};

/// Before the server dispatches, a stranger takes its token for a child with these values.
async fn a_stranger_is_first(world: &World, meta: &serde_json::Value) -> String {
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let mut moment = world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::Text(500, "No cluster leader"));
    let reply = Delivery::push("main", &commit(1), &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    moment.hit(1).await;
    let claim = world.open()[0].0.clone();
    let child = world.nomad.dispatch_as_stranger("builder", &claim, meta);
    world.nomad.faults().clear();
    world.none_open().await;
    child
}

#[tokio::test]
async fn one_with_other_values_is_refused() {
    let world = World::new().await;
    let meta = json!({"REPO_URL": REPO, "COMMIT": commit(66), "BRANCH": "main", "FLAVOR": "default"});
    a_stranger_is_first(&world, &meta).await;
    let last = world.final_status(&commit(2));
    assert_eq!(last.state, "error", "{last:?}");
    assert_eq!(world.nomad.children("builder").len(), 1);
    assert!(world.done().is_empty(), "a redelivery after the repair builds");
}

#[tokio::test]
async fn one_with_our_values_but_without_the_payload_is_refused() {
    let world = World::new().await;
    let meta = json!({
        "REPO_URL": REPO, "COMMIT": commit(2), "BRANCH": "main", "FLAVOR": "default",
        "REF": "refs/heads/main", "EVENT": "push", "SENDER": "quentin", "TRUSTED": "true",
    });
    let child = a_stranger_is_first(&world, &meta).await;
    assert_eq!(world.final_status(&commit(2)).state, "error");
    assert!(world.nomad.job(&child)["Payload"].is_null());
}
