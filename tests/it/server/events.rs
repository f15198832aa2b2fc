//! Events of builds and lists, and that whoever comes back misses none of them.

use serde_json::{Value, json};

use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::events::Reader;
use crate::fake::serve::Serve;
use crate::fake::world::{DONE, OPEN, READER, World, person};

/// The index under which the registry has a change: open, else ended.
async fn index_of(world: &World, claim: &str) -> String {
    for folder in [OPEN, DONE] {
        let path = format!("/v1/kv/{folder}{claim}");
        let request = crate::fake::http::client().get(format!("{}{path}", world.consul.url()));
        let answer = request.header("x-consul-token", crate::fake::world::CONSUL).send().await.unwrap();
        if answer.status() == 200 {
            let pairs: Value = answer.json().await.unwrap();
            return pairs[0]["ModifyIndex"].to_string();
        }
    }
    panic!("{claim} is neither open nor ended")
}

#[tokio::test]
async fn the_events_of_a_build_go_to_its_end() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    let path = format!("/builds/{build}");
    let mut reader = Reader::open(&serve, &path, None, None).await;
    let first = reader.next().await.unwrap();
    assert_eq!(
        (first.name.as_str(), first.data["ended"].clone(), first.text("build")),
        ("build", json!(false), build.clone())
    );
    world.nomad.run(&build);
    reader.until_state("running").await;
    let claim = first.text("claim");
    let mut by_claim = Reader::open(&serve, &format!("/builds/claim/{claim}"), None, None).await;
    assert_eq!(by_claim.next().await.unwrap().text("claim"), claim);
    world.nomad.exit(&build, 3);
    for reader in [&mut reader, &mut by_claim] {
        let last = reader.until("its end", |event| event.data["ended"] == true).await;
        assert_eq!((last.text("state").as_str(), last.data["exit_code"].clone()), ("failure", json!(3)));
        assert!(reader.next().await.is_none(), "nothing comes after the end");
    }
    world.all_done(1).await;
    // Whoever comes again is told the end, and then that there is nothing more.
    let mut again = Reader::open(&serve, &path, None, reader.last.as_deref().filter(|_| false)).await;
    assert_eq!(again.next().await.unwrap().data["ended"], true);
    assert!(again.next().await.is_none());
    assert_eq!(again.last, Some(index_of(&world, &claim).await), "the id is the registry's index");
    let over = Reader::ask(&serve, &path, None, again.last.as_deref()).await;
    assert_eq!(over.status(), 204);
}

#[tokio::test]
async fn who_comes_back_to_another_replica_gets_what_was_missed() {
    let world = World::new().await;
    let (one, other) = (world.serve().await, world.serve().await);
    let build = world.build(&one, "main", &commit(1), &commit(2)).await;
    let path = format!("/builds/{build}");
    world.nomad.run(&build);
    let mut reader = Reader::open(&one, &path, None, None).await;
    let running = reader.until_state("running").await;
    // Nothing is told twice, until there is something to tell.
    assert_eq!(reader.last, Some(index_of(&world, &running.text("claim")).await));
    one.kill().await;
    while reader.next().await.is_some() {}
    world.let_locks_go();
    let mut back = Reader::open(&other, &path, None, reader.last.as_deref()).await;
    world.nomad.exit(&build, 0);
    let next = back.next().await.unwrap();
    assert_eq!(next.text("build"), build);
    assert_ne!(back.last, reader.last, "what it knew is not told again");
    let last =
        if next.data["ended"] == true { next } else { back.until("its end", |it| it.data["ended"] == true).await };
    assert_eq!(last.text("state"), "success");
    // The same while it was away.
    world.all_done(1).await;
    let mut late = Reader::open(&other, &path, None, reader.last.as_deref()).await;
    assert_eq!(late.next().await.unwrap().text("state"), "success");
    assert!(late.next().await.is_none());
}

/// A reader of a list: the ends of builds that it was told, by their commits.
async fn ends(reader: &mut Reader, commits: &[String]) {
    let mut missing: Vec<&String> = commits.iter().collect();
    while !missing.is_empty() {
        let event = reader.until("all ends", |event| event.data["ended"] == true).await;
        missing.retain(|commit| event.text("commit") != **commit);
    }
}

async fn push_and_end(world: &World, serve: &Serve, number: u64) -> String {
    let build = world.build(serve, &format!("b{number}"), &commit(1), &commit(number)).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    build
}

#[tokio::test]
async fn a_reader_of_a_list_misses_nothing_between_two_replicas() {
    let world = World::new().await;
    let (one, other) = (world.serve().await, world.serve().await);
    let mut reader = Reader::open(&one, "/builds", None, None).await;
    assert_eq!(reader.next().await.unwrap().name, "now");
    push_and_end(&world, &one, 2).await;
    ends(&mut reader, &[commit(2)]).await;
    one.kill().await;
    while reader.next().await.is_some() {}
    world.let_locks_go();
    // Two begin and end while it is away, one goes on after it is back.
    push_and_end(&world, &other, 3).await;
    push_and_end(&world, &other, 4).await;
    world.all_done(3).await;
    let mut back = Reader::open(&other, "/builds", None, reader.last.as_deref()).await;
    ends(&mut back, &[commit(3), commit(4)]).await;
    push_and_end(&world, &other, 5).await;
    ends(&mut back, &[commit(5)]).await;
    // Who was told all of it is not told any of it again.
    let mut filtered = Reader::open(&other, &format!("/builds?branch=b4&repo={REPO}"), None, Some("1")).await;
    let only = filtered.next().await.unwrap();
    assert_eq!((only.text("commit"), only.data["ended"].clone()), (commit(4), json!(true)));
}

#[tokio::test]
async fn a_change_that_leaves_a_filter_is_told_to_who_saw_it_there() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut reader = Reader::open(&serve, "/builds?state=running", None, None).await;
    assert_eq!(reader.next().await.unwrap().name, "now");
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    let event = reader.next().await.unwrap();
    assert_eq!(event.text("state"), "running", "what was before is not in this list");
    world.nomad.exit(&build, 0);
    assert_eq!(reader.next().await.unwrap().text("state"), "success");
}

#[tokio::test]
async fn what_is_private_is_told_to_its_readers_only_and_only_as_long_as_they_are() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut theirs = Reader::open(&serve, "/builds", Some(READER), None).await;
    let mut strangers = Reader::open(&serve, "/builds", Some("guessed"), None).await;
    for reader in [&mut theirs, &mut strangers] {
        assert_eq!(reader.next().await.unwrap().name, "now");
    }
    let private = async |number: u64| {
        world.forge.push("quentin/albatros", "main", &commit(number));
        world.build_by(&serve, &Delivery::push("main", &commit(1), &commit(number)).private()).await
    };
    let hidden = private(2).await;
    theirs.until("the private build", |event| event.text("build") == hidden).await;
    let path = format!("/builds/{hidden}");
    assert_eq!(Reader::ask(&serve, &path, None, None).await.status(), 404);
    let mut one = Reader::open(&serve, &path, Some(READER), None).await;
    assert_eq!(one.next().await.unwrap().text("build"), hidden);

    let mut config = world.config();
    config["tokens"]["read"] = json!(["another-reader"]);
    world.put_config(&config);
    let refused = async || person(&serve, "GET", &path, Some(READER)).await.status == 404;
    while !refused().await {
        tokio::task::yield_now().await;
    }
    world.nomad.run(&hidden);
    assert!(one.next().await.is_none(), "a right that was taken away");
    private(3).await;
    // A public build is told to both, and it is the first thing that either is told since.
    world.forge.push("quentin/albatros", "open", &commit(4));
    world.build_by(&serve, &Delivery::push("open", &commit(1), &commit(4))).await;
    for reader in [&mut theirs, &mut strangers] {
        let event = reader.until("anything after the right was taken away", |it| it.text("commit") != commit(2)).await;
        assert_eq!((event.text("commit"), event.data["private"].clone()), (commit(4), json!(false)));
    }
}

#[tokio::test]
async fn an_id_that_means_nothing_any_more_is_answered_by_now_and_nothing_is_replayed() {
    let world = World::new().await;
    let serve = world.serve().await;
    push_and_end(&world, &serve, 2).await;
    world.all_done(1).await;
    let mut ahead = Reader::open(&serve, "/builds", None, Some("999999999")).await;
    assert_eq!(ahead.next().await.unwrap().name, "now");
    push_and_end(&world, &serve, 3).await;
    let next = ahead.next().await.unwrap();
    assert_eq!(next.text("commit"), commit(3), "what was before is not told");
    // Begun and ended between two lists, it is told once.
    if next.data["ended"] != true {
        ends(&mut ahead, &[commit(3)]).await;
    }
    let listed: Value = serde_json::from_str(&json_list(&serve).await).unwrap();
    let build = listed[0]["build"].as_str().unwrap().to_owned();
    let mut one = Reader::open(&serve, &format!("/builds/{build}"), None, Some("999999999")).await;
    assert_eq!(one.next().await.unwrap().text("state"), "success");
}

async fn json_list(serve: &Serve) -> String {
    let request = crate::fake::http::client().get(format!("{}/builds", serve.url)).header("accept", "application/json");
    request.send().await.unwrap().text().await.unwrap()
}

#[tokio::test]
async fn a_server_that_stops_ends_its_streams() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    let mut one = Reader::open(&serve, &format!("/builds/{build}"), None, None).await;
    let mut list = Reader::open(&serve, "/builds", None, None).await;
    assert!(one.next().await.is_some() && list.next().await.is_some());
    assert_eq!(serve.terminate().await, Some(0));
    while one.next().await.is_some() {}
    while list.next().await.is_some() {}
}
