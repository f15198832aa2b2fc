//! Every state of a build has a page that says it in words.

use super::{Parent, ask, job, page, page_for};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::nomad::{Builder, Nomad};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, READER, SECRET, World, person};

async fn builds(world: &World, serve: &Serve, n: u64) -> String {
    world.build(serve, &format!("b{n}"), &commit(n), &commit(n + 100)).await
}

type Act = fn(&Nomad, &str);

#[tokio::test]
async fn every_state_of_a_build_has_a_page() {
    let world = World::new().await;
    let serve = world.serve().await;
    let courses: [(&str, &str, Act); 9] = [
        ("queued", "Waiting for a node", |nomad, build| nomad.block(build)),
        ("preparing", "Preparing", |nomad, build| nomad.place(build)),
        ("running", "Running", |nomad, build| nomad.run(build)),
        ("success", "Successful", |nomad, build| {
            nomad.run(build);
            nomad.exit(build, 0);
        }),
        ("failure", "Failed with exit 3", |nomad, build| {
            nomad.run(build);
            nomad.exit(build, 3);
        }),
        ("oom", "Out of memory", |nomad, build| {
            nomad.run(build);
            nomad.oom(build);
        }),
        ("timeout", "Timed out", |nomad, build| {
            nomad.run(build);
            nomad.exceed_run_duration(build);
        }),
        ("cancelled", "Cancelled by a user of Nomad", |nomad, build| {
            nomad.run(build);
            nomad.stop_job(build);
        }),
        ("lost", "its node was lost", |nomad, build| {
            nomad.run(build);
            nomad.lose(build);
        }),
    ];
    for (n, (state, headline, act)) in (1..).zip(courses) {
        let build = builds(&world, &serve, n).await;
        act(&world.nomad, &build);
        let address = format!("/builds/{build}");
        let shown = page(&serve, &address).await.text;
        let told = ask(&serve, &address, "application/json", None).await.value();
        assert_eq!(told["state"], state, "{told}");
        let h1 = shown.split_once("<h1>").unwrap().1.split_once("</h1>").unwrap().0;
        assert!(h1.contains(headline), "{state}: {h1}");
        assert_eq!(shown.contains("data-follow"), told["ended"] == false, "{state}");
        assert!(shown.contains("class=\"mark\"") && shown.contains("role=\"status\""), "{state}");
    }
}

#[tokio::test]
async fn what_is_held_has_a_page_before_there_is_a_build_and_after() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.pull("quentin/albatros", 3, &commit(7), &["src/lib.rs", ".albatros"]);
    let reply = Delivery::pull_pushed(3, &commit(7)).send(&serve.url, SECRET).await;
    let claim = world.open()[0].0.rsplit('/').next().unwrap().to_owned();
    assert_eq!(reply.status, 202, "{}", reply.text);
    let address = format!("/builds/claim/{claim}");
    let held = page(&serve, &address).await.text;
    for words in
        ["Waiting for approval", "pull request", "#3", "without the repository’s secrets", "Sign in to approve"]
    {
        assert!(held.contains(words), "{words}: {held}");
    }
    let asked = page_for(&serve, &address, Some(READER)).await.text;
    assert!(asked.contains("2 files; it changes .albatros") && asked.contains("src/lib.rs"), "{asked}");
    let approved = person(&serve, "POST", &format!("{address}/approve"), Some(ACTOR)).await;
    assert!(matches!(approved.status, 200 | 202), "{} {}", approved.status, approved.text);
    world.nomad.wait("a build", || !world.nomad.builds_of(&commit(7)).is_empty()).await;
    let build = world.nomad.builds_of(&commit(7))[0].clone();
    world.nomad.run(&build);
    let after = page(&serve, &address).await.text;
    assert!(after.contains("Running") && after.contains(&format!("/builds/{build}/log")), "{after}");
}

#[tokio::test]
async fn what_failed_before_its_script_is_no_fault_of_the_script() {
    let world = World::new().await;
    world.nomad.register(&Builder::full("builder"));
    let serve = world.serve().await;
    let build = builds(&world, &serve, 1).await;
    world.nomad.place(&build);
    world.nomad.write(&build, "prepare", "stderr", b"fetching\nthe forge said: no such <commit>\n");
    world.nomad.fail_prestart(&build);
    world.all_done(1).await;
    let shown = page(&serve, &format!("/builds/{build}")).await.text;
    assert!(shown.contains("This is not the script’s doing"), "{shown}");
    let (_, end) = shown.split_once("The end of its preparation").unwrap();
    assert!(end.contains("the forge said: no such &#60;commit&#62;"), "{shown}");
}

#[tokio::test]
async fn a_job_that_is_held_says_who_wants_it() {
    let parent = Parent::new().await;
    let mut spec = job("deploy");
    spec["hold"] = true.into();
    let claim = parent.put(&spec).await.value()["claim"].as_str().unwrap().to_owned();
    let shown = page(&parent.story.serve, &format!("/builds/claim/{claim}")).await.text;
    assert!(shown.contains("approve this job") && shown.contains("Job <b>deploy</b>"), "{shown}");
}
