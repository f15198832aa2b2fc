//! Every log ends with a sentence, whatever became of its build.

use crate::fake::delivery::commit;
use crate::fake::http::{Reply, send};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, World, person};

async fn queued(world: &World, serve: &Serve) -> String {
    world.build(serve, "main", &commit(1), &commit(2)).await
}

fn reading(serve: &Serve, build: &str) -> tokio::task::JoinHandle<Reply> {
    let (url, path) = (serve.url.clone(), format!("/build?job={build}"));
    tokio::spawn(async move { send(&url, "GET", &path, None).await })
}

fn last_line(reply: &Reply) -> &str {
    reply.text.lines().last().unwrap_or_default()
}

#[tokio::test]
async fn a_build_that_has_not_started_is_waited_for() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = queued(&world, &serve).await;
    let reader = reading(&serve, &build);
    world.nomad.wire().wait_seen("GET", &format!("{}/allocations", build.replace('/', "%2F")), 1).await;
    assert!(!reader.is_finished());
    world.nomad.block(&build);
    world.nomad.place(&build);
    world.nomad.run(&build);
    world.nomad.say(&build, "at last");
    world.nomad.exit(&build, 0);
    let reply = reader.await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(reply.text.contains("at last\n"), "{}", reply.text);
    assert!(last_line(&reply).starts_with("albatros: success"), "{}", reply.text);
}

#[tokio::test]
async fn a_build_that_never_will_start() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = queued(&world, &serve).await;
    world.nomad.block(&build);
    let reader = reading(&serve, &build);
    let cancelled = person(&serve, "DELETE", &format!("/builds/{build}"), Some(ACTOR)).await;
    assert_eq!(cancelled.status, 202);
    let reply = reader.await.unwrap();
    assert!(last_line(&reply).starts_with("albatros: ") && reply.text.contains("cancelled"), "{}", reply.text);
    let again = reading(&serve, &build).await.unwrap();
    assert!(again.text.contains("cancelled"), "{} {}", again.status, again.text);
}

#[tokio::test]
async fn a_build_whose_preparation_failed() {
    let world = World::new().await;
    world.nomad.register(&Builder::full("builder").payload("optional"));
    let serve = world.serve().await;
    let build = queued(&world, &serve).await;
    let reader = reading(&serve, &build);
    world.nomad.fail_prestart(&build);
    let reply = reader.await.unwrap();
    assert!(last_line(&reply).starts_with("albatros: infra"), "{} {}", reply.status, reply.text);
}

#[tokio::test]
async fn a_build_that_nomad_has_collected() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = queued(&world, &serve).await;
    world.nomad.run(&build);
    world.nomad.say(&build, "gone");
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    world.nomad.purge(&build);
    let reply = reading(&serve, &build).await.unwrap();
    assert_eq!(reply.status, 410, "{}", reply.text);
    assert!(reply.text.trim().contains(' '), "and says why: {}", reply.text);
}

#[tokio::test]
async fn a_build_whose_logs_the_client_has_collected() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = queued(&world, &serve).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.nomad.collect_logs(&build);
    let reply = reading(&serve, &build).await.unwrap();
    assert!(reply.status == 410 || last_line(&reply).starts_with("albatros: "), "{} {}", reply.status, reply.text);
}

#[tokio::test]
async fn a_build_whose_node_dies() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = queued(&world, &serve).await;
    world.nomad.run(&build);
    world.nomad.say(&build, "before");
    let reader = reading(&serve, &build);
    world.nomad.wire().wait_seen("GET", "/v1/client/fs/logs/", 1).await;
    world.nomad.lose(&build);
    let reply = reader.await.unwrap();
    assert!(last_line(&reply).starts_with("albatros: lost"), "{}", reply.text);
}

#[tokio::test]
async fn what_was_rotated_away_is_told() {
    let world = World::new().await;
    world.nomad.rotate_logs(2, 1000);
    let serve = world.serve().await;
    let build = queued(&world, &serve).await;
    world.nomad.run(&build);
    for n in 0..500 {
        world.nomad.say(&build, &format!("line {n}"));
    }
    world.nomad.exit(&build, 0);
    let reply = reading(&serve, &build).await.unwrap();
    assert!(reply.text.contains("line 499\n"), "{}", reply.text);
    assert!(!reply.text.starts_with("line"), "what is missing is told where it is missing: {}", reply.text);
    assert!(last_line(&reply).starts_with("albatros: success"), "{}", reply.text);
}

#[tokio::test]
async fn a_stream_that_is_cut_is_taken_up_where_it_was() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = queued(&world, &serve).await;
    world.nomad.run(&build);
    world.nomad.say(&build, "first");
    let reader = reading(&serve, &build);
    world.nomad.wire().wait_seen("GET", "/v1/client/fs/logs/", 1).await;
    for n in 0..3 {
        world.nomad.wire().cut_all();
        world.nomad.say(&build, &format!("after cut {n}"));
        world.nomad.wire().wait_seen("GET", "/v1/client/fs/logs/", n + 2).await;
    }
    world.nomad.exit(&build, 0);
    let reply = reader.await.unwrap();
    let lines: Vec<_> = reply.text.lines().filter(|line| !line.starts_with("albatros:")).collect();
    assert_eq!(lines, ["first", "after cut 0", "after cut 1", "after cut 2"], "nothing lost, nothing twice");
}
