//! Exit codes: what a script can go by.

use futures_util::future::join_all;

use super::Person;
use crate::fake::delivery::{REPO, commit};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, World};

async fn pushed(world: &World, serve: &Serve, n: u64) -> String {
    let build = world.build(serve, "main", &commit(1), &commit(n)).await;
    world.nomad.run(&build);
    world.nomad.say(&build, "words of the build");
    build
}

/// Until the server reads the log, since somebody follows it.
async fn followed(world: &World, build: &str) {
    world.nomad.wire().wait_seen("GET", &format!("/logs/{}", world.nomad.allocation(build)), 1).await;
}

/// How a build ends.
type End = fn(&World, &str);

#[tokio::test]
async fn logs_and_status_end_with_the_build_s_code() {
    let world = World::new().await;
    let serve = world.serve().await;
    let anybody = Person::at(&serve.url, None);
    let ends: [(&str, End, i32); 6] = [
        ("success", |world, build| world.nomad.exit(build, 0), 0),
        ("failure", |world, build| world.nomad.exit(build, 3), 1),
        ("oom", |world, build| world.nomad.oom(build), 1),
        ("lost", |world, build| world.nomad.lose(build), 3),
        ("cancelled", |world, build| world.nomad.stop_job(build), 4),
        ("timeout", |world, build| world.nomad.exceed_run_duration(build), 5),
    ];
    let all = (10..).zip(ends).map(async |(n, (word, end, code))| {
        let build = pushed(&world, &serve, n).await;
        let follower = anybody.starts(&["logs", "-f", &build]);
        followed(&world, &build).await;
        let running = anybody.runs(&["status", &build, "--json"]).await;
        assert_eq!((running.code, &running.json()["ended"]), (0, &false.into()), "it is not over: {running:?}");
        end(&world, &build);
        let log = follower.await.unwrap();
        log.ends(code, "");
        assert!(log.out.contains("words of the build\n"), "{word}: {log:?}");
        assert!(log.out.lines().last().unwrap().starts_with(&format!("albatros: {word}")), "{log:?}");
        let status = anybody.runs(&["status", &build, "--json"]).await;
        assert_eq!((status.code, &status.json()["state"]), (code, &word.into()), "{status:?}");
    });
    join_all(all).await;
    world.none_open().await;
}

#[tokio::test]
async fn a_log_that_is_not_followed_ends_where_it_is() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = pushed(&world, &serve, 2).await;
    world.nomad.write(&build, "executor", "stderr", b"complaints\n");
    let anybody = Person::at(&serve.url, None);
    for (verb, words) in
        [(vec!["logs", &build], "words of the build\n"), (vec!["logs", "--stderr", &build], "complaints\n")]
    {
        let log = anybody.runs(&verb).await;
        log.ends(0, "");
        assert!(log.out.contains(words), "{log:?}");
    }
}

/// Without its log a build still has a verdict; only who wanted nothing but the log goes away with nothing.
#[tokio::test]
async fn who_follows_a_log_that_is_gone_is_told_so_and_gets_the_code() {
    let world = World::new().await;
    let serve = world.serve().await;
    let anybody = Person::at(&serve.url, None);
    for (n, exit, code) in [(2, 0, 0), (3, 9, 1)] {
        let build = pushed(&world, &serve, n).await;
        world.nomad.exit(&build, exit);
        world.none_open().await;
        world.nomad.purge(&build);
        let log = anybody.runs(&["logs", "-f", &build]).await;
        log.ends(code, "albatros: the log is gone");
        assert_eq!(log.out, "");
        let log = anybody.runs(&["logs", &build]).await;
        log.ends(3, "albatros: the log is gone");
        assert_eq!(log.out, "");
    }
}

#[tokio::test]
async fn a_server_that_is_dead_is_infrastructure() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = pushed(&world, &serve, 2).await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    let follower = actor.starts(&["logs", "-f", &build]);
    followed(&world, &build).await;
    serve.kill().await;
    let log = follower.await.unwrap();
    assert_eq!(log.code, 3, "a log that breaks off is no success: {log:?}");
    let claim = "0".repeat(64);
    let verbs = [
        vec!["status", build.as_str()],
        vec!["logs", "-f", &build],
        vec!["list"],
        vec!["cancel", &build],
        vec!["approve", &claim],
        vec!["trigger", REPO],
    ];
    for verb in verbs {
        let said = actor.runs(&verb).await;
        said.ends(3, "does not answer");
        assert_eq!(said.out, "");
    }
}

#[tokio::test]
async fn what_cannot_be_meant_is_wrong_use() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    for verb in ["status", "logs", "cancel"] {
        actor.runs(&[verb, "builder"]).await.ends(2, "neither a build");
        actor.runs(&[verb, "../trigger"]).await.ends(2, "neither a build");
        actor.runs(&[verb, "builder/dispatch-1766000000-1a2b3c4d"]).await.ends(2, "no such build");
    }
    let claim = "0".repeat(64);
    actor.runs(&["logs", &claim]).await.ends(2, "a claim has no log");
    actor.runs(&["approve", "builder/dispatch-1766000000-1a2b3c4d"]).await.ends(2, "albatros: ");
    actor.runs(&["approve", &claim]).await.ends(2, "no such build");
    actor.runs(&["list", "--limit", "many"]).await.ends(2, "many");
    actor.runs(&["trigger", "https://git.example/not/there.git"]).await.ends(2, "unknown repository");
    Person::default().runs(&["list"]).await.ends(2, "ALBATROS_URL");
    for url in ["ci.example", "ftp://ci.example", &format!("http://quentin:{ACTOR}@127.0.0.1:1")] {
        Person::at(url, None).runs(&["list"]).await.ends(2, "ALBATROS_URL: expected an address");
    }
    assert_eq!(world.nomad.dispatches(), 0);
}
