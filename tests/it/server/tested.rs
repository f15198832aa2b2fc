//! A forge's own test of the hook: answered, noted, and never built.

use serde_json::Value;

use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::fixture;
use crate::fake::http::{Reply, client};
use crate::fake::world::{SECRET, World};

const TESTS: &str = "albatros-builds/tests/";
const WELL: &str = "ignored: a test delivery, all is well\n";

/// A recorded delivery for quentin's repository, with every header that came with it.
async fn as_recorded(base: &str, name: &str) -> Reply {
    let file = fixture::read(name);
    let body = file["body"].as_str().unwrap().to_owned();
    let mut request = client().post(format!("{base}/hook"));
    for header in file["headers"].as_array().unwrap() {
        let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
        if !["Host", "Content-Length", "Accept-Encoding"].contains(&name) {
            request = request.header(name, value);
        }
    }
    Reply::read(request.body(body).send().await.unwrap()).await
}

fn noted(world: &World) -> Vec<Value> {
    world.consul.records(TESTS).into_iter().map(|(_, note)| note).collect()
}

#[tokio::test]
async fn a_test_is_noted_with_who_sent_it_and_builds_nothing() {
    let world = World::new().await;
    let mut config = world.config();
    config["hook"] = serde_json::json!({"secret": "s3cr3t-hmac"});
    world.put_config(&config);
    let serve = world.serve().await;
    let reply = as_recorded(&serve.url, "gitea/push-test-button").await;
    assert_eq!((reply.status, reply.text.as_str()), (200, WELL));
    let [note] = noted(&world).try_into().unwrap();
    assert_eq!((&note["forge"], &note["event"]), (&"gitea".into(), &"push".into()), "{note}");
    assert_eq!(note["delivery"], "a81cc80b-7873-499a-b53a-ca9a5d67f37b");
    assert!(note["at"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{note}");
    assert!(world.open().is_empty() && world.done().is_empty());
    assert_eq!(world.nomad.dispatches(), 0);
}

#[tokio::test]
async fn nobody_notes_a_test_without_the_secret() {
    let world = World::new().await;
    let serve = world.serve().await;
    let reply = Delivery::recorded("push-test-button").send(&serve.url, "guessed").await;
    assert_eq!(reply.status, 401, "{}", reply.text);
    assert!(noted(&world).is_empty());
}

#[tokio::test]
async fn tests_at_once_are_not_a_write_each() {
    let world = World::new().await;
    let serve = world.serve().await;
    let test = Delivery::recorded("push-test-button");
    let before = world.consul.writes();
    let all = futures_util::future::join_all((0..20).map(|_| test.send(&serve.url, SECRET))).await;
    assert!(all.iter().all(|reply| reply.text == WELL), "{all:?}");
    let writes = world.consul.writes() - before;
    assert!((1..20).contains(&writes), "{writes}");
    assert_eq!(noted(&world).len(), 1);
}

#[tokio::test]
async fn a_test_that_cannot_be_noted_is_answered_all_the_same_and_a_push_is_built() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.consul.faults().arm("PUT", TESTS, Times::All, Fault::Text(500, "No cluster leader"));
    let reply = Delivery::recorded("push-test-button").send(&serve.url, SECRET).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, WELL));
    assert!(noted(&world).is_empty());
    world.build(&serve, "main", &commit(1), &commit(2)).await;
}
