//! `trigger` and `retry`, and staying until the end.

use super::Person;
use crate::fake::delivery::{REPO, commit};
use crate::fake::nomad::Builder;
use crate::fake::world::{ACTOR, READER, World};

const MINE: &str = "quentin/albatros";

#[tokio::test]
async fn what_is_typed_is_what_is_built() {
    let world = World::new().await;
    world.nomad.register(&Builder::plain("builder").optional(&["REF", "VERSION", "NOTE"]));
    let serve = world.serve().await;
    world.forge.push(MINE, "next", &commit(2));
    world.forge.tag(MINE, "v1", &commit(3));
    world.forge.pull(MINE, 7, &commit(4), &[]);
    let actor = Person::at(&serve.url, Some(ACTOR));
    for (typed, n, git_ref) in [
        (["--branch", "next"], 2, "refs/heads/next"),
        (["--tag", "v1"], 3, "refs/tags/v1"),
        (["--pull-request", "7"], 4, "refs/pull/7/head"),
        (["--ref", "refs/tags/v1"], 3, "refs/tags/v1"),
    ] {
        let given = ["--param", "VERSION=1.2", "--param", "NOTE=a=b c", "--flavor", "big"];
        let started = actor.runs(&[&["trigger", REPO][..], &typed, &given].concat()).await;
        started.ends(0, "");
        let job = world.nomad.job(started.out.lines().next().unwrap());
        let meta = &job["Meta"];
        assert_eq!((&meta["COMMIT"], &meta["REF"]), (&commit(n).into(), &git_ref.into()), "{typed:?}");
        assert_eq!((&meta["VERSION"], &meta["NOTE"]), (&"1.2".into(), &"a=b c".into()));
        assert_eq!(meta["FLAVOR"], "big");
    }
    for (typed, words) in [
        (["--param", "VERSION"], "expected NAME=VALUE"),
        (["--param", "OTHER=1"], "does not take OTHER"),
        (["--commit", "main"], "hexadecimal digits"),
        (["--flavor", "a b"], "--flavor"),
    ] {
        actor.runs(&[&["trigger", REPO, "--branch", "next"][..], &typed].concat()).await.ends(2, words);
    }
    actor.runs(&["trigger", REPO, "--branch", "next", "--tag", "v1"]).await.ends(2, "cannot be used with");
    assert_eq!(world.nomad.dispatches(), 4);
}

#[tokio::test]
async fn who_stays_sees_the_log_and_ends_with_the_build() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push(MINE, "main", &commit(2));
    let actor = Person::at(&serve.url, Some(ACTOR));
    let following = actor.starts(&["trigger", REPO, "--follow"]);
    let build = world.nomad.child("builder", 1).await;
    world.nomad.run(&build);
    world.nomad.say(&build, "words of the build");
    world.nomad.exit(&build, 3);
    let said = following.await.unwrap();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.starts_with(&build) && said.out.contains("words of the build\n"), "{said:?}");

    let waiting = actor.starts(&["retry", &build, "--wait", "--json"]);
    let again = world.nomad.child("builder", 2).await;
    world.nomad.run(&again);
    world.nomad.exit(&again, 0);
    let said = waiting.await.unwrap();
    assert_eq!(said.code, 0, "{said:?}");
    let end = said.json();
    assert_eq!((&end["build"], &end["state"]), (&again.as_str().into(), &"success".into()), "{end}");
    assert!(end["retry_of"].is_string(), "{end}");
}

/// A change that waits has no build yet: it is followed by its claim until it has one.
#[tokio::test]
async fn who_stays_is_told_that_it_waits() {
    let world = World::new().await;
    let mut config = world.config();
    config["concurrency"] = serde_json::json!({"max": 1});
    world.put_config(&config);
    let serve = world.serve().await;
    let first = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&first);
    let actor = Person::at(&serve.url, Some(ACTOR));
    let waiting = actor.starts(&["trigger", REPO, "--wait"]);
    world.consul.wait("albatros-builds/open/", "two open changes", |open| open.len() == 2).await;
    world.nomad.exit(&first, 0);
    let second = world.nomad.child("builder", 2).await;
    world.nomad.run(&second);
    world.nomad.exit(&second, 3);
    let said = waiting.await.unwrap();
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.contains("waiting for its turn"), "{said:?}");
    assert!(said.out.lines().last().unwrap().starts_with("failure: Failed with exit 3"), "{said:?}");
}

#[tokio::test]
async fn retry_needs_a_build_that_is_over_and_a_token_that_may_act() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    let actor = Person::at(&serve.url, Some(ACTOR));
    actor.runs(&["retry", &build]).await.ends(2, "it is not over");
    world.nomad.exit(&build, 1);
    world.all_done(1).await;
    Person::at(&serve.url, Some(READER)).runs(&["retry", &build]).await.ends(2, "a token that may act");
    actor.runs(&["retry", "builder/dispatch-1766000000-1a2b3c4d"]).await.ends(2, "no such build");
    let again = actor.runs(&["retry", &world.done()[0].0]).await;
    again.ends(0, "");
    let again = again.out.lines().next().unwrap().to_owned();
    let status = actor.runs(&["status", &again]).await;
    assert!(status.out.contains("retry_of") && status.out.contains("@trigger"), "{status:?}");
}
