//! Runners for a forge's own workflows: one for each job, with the right builder, and none left over.

mod entries;
mod many;
mod reach;
mod trouble;
mod usual;

use serde_json::{Value, json};

use super::session::{exchange, named, secret};
use crate::fake::delivery::Delivery;
use crate::fake::forge::Job;
use crate::fake::forge::actions::REGISTRATION;
use crate::fake::http::{Reply, client};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::{OPEN, SECRET, World};

/// The repository whose jobs these are.
const REPO: &str = "quentin/albatros";
/// The label of its pool.
const LABEL: &str = "ubuntu-latest";

/// A repository with a pool of runners, and a forge that is asked every second.
async fn world(runners: &Value) -> World {
    let world = World::new().await;
    world.nomad.register(&Builder::full("runner"));
    world.set("ALBATROS_RUNNERS_EVERY", "1s");
    let mut config = world.config();
    config["runners"] = runners.clone();
    world.put_config(&config);
    world
}

fn pool() -> Value {
    json!([{"labels": ["ubuntu-latest:host"], "max": 4}])
}

async fn deliver(serve: &Serve, job: &Job) -> Reply {
    Delivery::job(job).send(&serve.url, SECRET).await
}

/// What a runner's controller does: its session, and the registration.
async fn registration(world: &World, serve: &Serve, build: &str) -> (Reply, String, String) {
    let secret = secret();
    let token = world.nomad.sign(&world.nomad.claims(build));
    let claim = world.nomad.job(build)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned();
    let granted = exchange(serve, &token, &claim, &secret).await;
    assert_eq!(granted.status, 200, "{}", granted.text);
    let grant = granted.value();
    assert!(grant["inject"].is_null() && grant["checkout"]["credential"].is_null(), "{grant}");
    (register(serve, &claim, &secret).await, claim, secret)
}

async fn register(serve: &Serve, claim: &str, secret: &str) -> Reply {
    let request = client().post(format!("{}/session/{claim}/runner", serve.url)).bearer_auth(secret);
    let reply = Reply::read(request.send().await.unwrap()).await;
    assert!(!reply.text.contains(REGISTRATION), "what registers runners stays at the server");
    reply
}

/// The n-th runner is placed and registered; gives its build and the runner's number at the forge.
async fn registered(world: &World, serve: &Serve, n: usize) -> (String, u64) {
    let build = world.nomad.child("runner", n).await;
    register_build(world, serve, build).await
}

async fn register_build(world: &World, serve: &Serve, build: String) -> (String, u64) {
    world.nomad.place(&build);
    named(world, &build).await;
    let (reply, claim, _) = registration(world, serve, &build).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let file: Value = serde_json::from_str(reply.value()["files"][".runner"].as_str().unwrap()).unwrap();
    assert!(file["name"].as_str().unwrap().ends_with(&claim[..12]), "{file}");
    world.nomad.run(&build);
    (build, file["id"].as_u64().unwrap())
}

/// Its job is over, and so is the runner.
fn done(world: &World, build: &str, job: &Job) {
    world.forge.finish_job(job.id, "success");
    world.nomad.exit(build, 0);
}

/// What the open records know of their runners.
fn open_runners(world: &World) -> Vec<Value> {
    world.open().into_iter().map(|(_, record)| record["runner"].clone()).collect()
}

/// Waits until something holds of the open records.
async fn until(world: &World, what: &str, fits: impl Fn(&[Value]) -> bool) {
    world.consul.wait(OPEN, what, |_| fits(&open_runners(world))).await;
}
