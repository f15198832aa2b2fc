//! The token: from the environment or from a file, and what may be done with it.

use super::Person;
use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::world::{ACTOR, READER, World};

#[tokio::test]
async fn a_wrong_token_is_wrong_use() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    for token in [None, Some("guessed"), Some(READER)] {
        let person = Person::at(&serve.url, token);
        person.runs(&["cancel", &build]).await.ends(2, "a token that may act");
        person.runs(&["trigger", REPO, "--commit", &commit(2)]).await.ends(2, "wrong credential");
    }
    assert_eq!(world.nomad.job(&build)["Stop"], false);
    assert_eq!(world.nomad.dispatches(), 1);
}

#[tokio::test]
async fn the_token_comes_from_the_environment_or_a_file() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let build = world.build_by(&serve, &Delivery::push("main", &commit(1), &commit(2)).private()).await;
    world.nomad.run(&build);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, format!("{READER}\n")).unwrap();
    let file = file.to_str().unwrap();

    let stranger = Person::at(&serve.url, None);
    stranger.runs(&["status", &build]).await.ends(2, "no such build");
    assert_eq!(stranger.runs(&["list"]).await.out, "no builds\n");
    Person::at(&serve.url, Some(READER)).runs(&["status", &build]).await.ends(0, "");
    stranger.runs(&["status", &build, "--token-file", file]).await.ends(0, "");
    let both = Person::at(&serve.url, Some("guessed"));
    both.runs(&["status", &build]).await.ends(2, "no such build");
    both.runs(&["status", &build, "--token-file", file]).await.ends(0, "");
    let listed = both.runs(&["list", "--url", &serve.url, "--token-file", file]).await;
    assert!(listed.out.contains(&build), "{listed:?}");
    let nowhere = folder.path().join("nowhere");
    stranger.runs(&["list", "--token-file", nowhere.to_str().unwrap()]).await.ends(2, "nowhere");
}

#[tokio::test]
async fn who_may_act_cancels_and_is_told() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    let cancelled = actor.runs(&["cancel", &build, "--json"]).await;
    cancelled.ends(0, "");
    let answer = cancelled.json();
    assert_eq!((&answer["build"], &answer["state"]), (&build.as_str().into(), &"cancelling".into()), "{answer}");
    assert!(answer["claim"].is_string(), "{answer}");
    world.none_open().await;
    assert_eq!(world.nomad.job(&build)["Stop"], true);
    let again = actor.runs(&["cancel", &build]).await;
    again.ends(0, "");
    assert_eq!(again.out, "cancelled\n");
    actor.runs(&["status", &build]).await.ends(4, "");
}
