//! Secrets are handed over only where the forge says that the commit is on its branch.

use crate::fake::delivery::{Delivery, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::world::{SECRET, World};

#[tokio::test]
async fn a_commit_that_was_removed_gets_none() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    world.forge.force_push("quentin/albatros", "main", &commit(3));
    let reply = Delivery::push("main", &commit(1), &commit(2)).send(&serve.url, SECRET).await;
    world.none_open().await;
    assert_eq!(world.nomad.dispatches(), 0, "{} {}", reply.status, reply.text);
    let told = world.final_status(&commit(2));
    assert!(told.state == "error" && told.description.contains("no longer on"), "{told:?}");
}

#[tokio::test]
async fn an_older_commit_of_the_branch_gets_them() {
    let world = World::new().await;
    let serve = world.serve().await;
    for n in [2, 3, 4] {
        world.forge.push("quentin/albatros", "main", &commit(n));
    }
    let reply = Delivery::push("main", &commit(1), &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(world.nomad.job(reply.text.trim_end())["Payload"].is_string());
}

#[tokio::test]
async fn a_forge_that_does_not_answer_is_asked_again() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let mut asked = world.forge.faults().arm("GET", "/repos/", Times::All, Fault::Html(502));
    let reply = Delivery::push("main", &commit(1), &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    asked.hit(1).await;
    assert_eq!(world.nomad.dispatches(), 0, "without its word there are no secrets, and no build without them");
    assert!(asked.hits() > 0);
    world.forge.faults().clear();
    let build = world.nomad.child("builder", 1).await;
    assert!(world.nomad.job(&build)["Payload"].is_string());
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
}
