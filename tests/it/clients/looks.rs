//! Colours where they are wanted, and what is asked twice.

use std::process::{Command, Stdio};

use super::Person;
use crate::fake::delivery::{REPO, commit};
use crate::fake::world::{ACTOR, World};

#[tokio::test]
async fn colours_are_shown_where_they_are_asked_for_and_never_against_no_color() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    for (environment, coloured) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        for verb in [&["list"][..], &["status", &build]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
            command.args(verb).env_clear().env("ALBATROS_URL", &serve.url).stdin(Stdio::null());
            command.envs(environment.iter().copied());
            let run = move || String::from_utf8(command.output().unwrap().stdout).unwrap();
            let out = tokio::task::spawn_blocking(run).await.unwrap();
            assert!(out.contains("success"), "{out}");
            assert_eq!(out.contains('\x1b'), coloured, "{environment:?} {verb:?}: {out:?}");
        }
    }
}

#[tokio::test]
async fn what_is_triggered_twice_with_one_key_is_built_once() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    world.forge.push("quentin/albatros", "main", &commit(7));
    let first = actor.runs(&["trigger", REPO, "--key", "nightly/periodic-1"]).await;
    first.ends(0, "");
    let again = actor.runs(&["trigger", REPO, "--key", "nightly/periodic-1"]).await;
    again.ends(0, "");
    assert_eq!(first.out.lines().next(), again.out.lines().next());
    assert_eq!(world.nomad.dispatches(), 1);
    actor.runs(&["trigger", REPO, "--key", "nightly/periodic-2"]).await.ends(0, "");
    assert_eq!(world.nomad.dispatches(), 2);
    actor.runs(&["trigger", REPO, "--key", ""]).await.ends(2, "Idempotency-Key");
}
