//! `held`, `approve`, `approved` and `revoke`, as a person and a script run them.

use super::{Person, Said};
use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, READER, SECRET, World};

/// Holds a pull request of this account, whose only commit says its number; gives its claim.
async fn holds(world: &World, serve: &Serve, number: u64, by: (&str, u64), files: &[&str]) -> String {
    world.forge.commit("quentin/albatros", &commit(number));
    world.forge.pull("quentin/albatros", number, &commit(number), files);
    let pull = Delivery::pull(number, &commit(number)).by(by.0, by.1);
    let reply = pull.send(&serve.url, SECRET).await;
    assert!(reply.text.contains("held: waiting for approval"), "{} {}", reply.status, reply.text);
    world.open().into_iter().find(|(_, record)| record["commit"] == commit(number)).unwrap().0
}

fn block<'a>(said: &'a Said, claim: &str) -> Vec<&'a str> {
    let lines = said.out.lines().skip_while(|line| *line != claim);
    let mut block: Vec<&str> = lines.take(1).collect();
    block.extend(said.out.lines().skip_while(|line| *line != claim).skip(1).take_while(|line| line.starts_with(' ')));
    block
}

#[tokio::test]
async fn what_is_held_is_shown_with_what_it_changes() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    let none = actor.runs(&["held"]).await;
    none.ends(0, "");
    assert_eq!(none.out, "nothing is held\n");
    let script = holds(&world, &serve, 3, ("mallory", 4), &["src/a.rs", ".albatros"]).await;
    let other = holds(&world, &serve, 4, ("eve", 9), &["README.md"]).await;

    let said = actor.runs(&["held", "--files"]).await;
    said.ends(0, "");
    let lines = block(&said, &script);
    assert_eq!(lines[1], format!("  pull request 3 at {}, default, {REPO}", &commit(3)[..8]));
    assert!(lines[2].starts_with("  a pull request from a fork, by mallory (4), since 20"), "{said:?}");
    assert_eq!(lines[3..], ["  files: 2, .albatros is among them", "  ! .albatros", "    src/a.rs"]);
    let lines = block(&said, &other);
    assert_eq!(lines[3..], ["  files: 1, not .albatros", "    README.md"]);

    let one = actor.runs(&["held", &other, "--files", "--json"]).await.json();
    assert_eq!(one["held"].as_array().unwrap().len(), 1, "{one}");
    let files = &one["held"][0]["files"];
    assert_eq!((&files["albatros"], &files["count"], &files["whole"]), (&"unchanged".into(), &1.into(), &true.into()));
    for (asked, count) in [("mallory", 1), ("nobody", 0)] {
        let found = actor.runs(&["held", "--repo", REPO, "--sender", asked, "--json"]).await.json();
        assert_eq!(found["held"].as_array().unwrap().len(), count, "{asked}: {found}");
    }
    // A stranger sees what is public, and the forge is not asked for him.
    let calls = || world.forge.wire().seen().iter().filter(|one| one.path.contains("/pulls/3/files")).count();
    let before = calls();
    let stranger = Person::at(&serve.url, None).runs(&["held", "--files"]).await;
    stranger.ends(0, "");
    assert_eq!(block(&stranger, &script)[3], "  files: not asked: a token of this repository is needed");
    assert_eq!(calls(), before);
    let reader = Person::at(&serve.url, Some(READER)).runs(&["held", "--files"]).await;
    assert!(reader.out.contains("! .albatros"), "{reader:?}");
}

#[tokio::test]
async fn a_forge_that_does_not_answer_leaves_the_files_out() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    let claim = holds(&world, &serve, 3, ("mallory", 4), &["a"]).await;
    for (fault, words) in [
        (Fault::CutBefore, "  files: the forge does not answer"),
        (Fault::Hang, "  files: the forge does"),
        (Fault::Text(403, "{}"), "  files: cannot read a ref: the forge's token lacks a right"),
    ] {
        let armed = world.forge.faults().arm("GET", "/pulls/3", Times::All, fault);
        let said = actor.runs(&["held", "--files"]).await;
        said.ends(0, "");
        assert!(block(&said, &claim)[3].starts_with(words), "{fault:?}: {said:?}");
        assert!(armed.hits() > 0);
        world.forge.faults().clear();
    }
    // The pull request has moved on: what the forge lists would be another commit's.
    world.forge.pull("quentin/albatros", 3, &commit(9), &["b"]);
    let moved = actor.runs(&["held", "--files"]).await;
    assert!(block(&moved, &claim)[3].contains("may have a newer commit"), "{moved:?}");
}

#[tokio::test]
async fn no_more_than_twenty_changes_are_asked_about_at_once() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    let mut claims = Vec::new();
    for number in 1..=22 {
        claims.push(holds(&world, &serve, number, ("mallory", 4), &["a"]).await);
    }
    let said = actor.runs(&["held", "--files", "--json"]).await.json();
    let held = said["held"].as_array().unwrap();
    let asked: Vec<bool> = held.iter().map(|one| one["files"]["count"] == 1).collect();
    assert_eq!(asked, [vec![true; 20], vec![false; 2]].concat(), "{said}");
    let last = held[21]["claim"].as_str().unwrap();
    let said = actor.runs(&["held", last, "--files"]).await;
    assert_eq!(block(&said, last)[3], "  files: 1, not .albatros");
}

#[tokio::test]
async fn all_that_is_held_is_approved_or_all_of_a_sender() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    for number in 1..=3 {
        holds(&world, &serve, number, ("mallory", 4), &[]).await;
    }
    let eve = holds(&world, &serve, 4, ("eve", 9), &[]).await;
    actor.runs(&["approve"]).await.ends(2, "what is to be approved?");
    actor.runs(&["approve", "--all"]).await.ends(2, "--repo");
    actor.runs(&["approve", "--all", "--repo", REPO, &eve]).await.ends(2, "cannot be used with");
    let refused = Person::at(&serve.url, Some(READER)).runs(&["approve", "--all", "--repo", REPO]).await;
    refused.ends(2, "a token that may act");
    assert_eq!(world.nomad.dispatches(), 0);

    let all = actor.runs(&["approve", "--all", "--repo", REPO, "--sender", "mallory", "--always"]).await;
    all.ends(0, "");
    assert_eq!(all.out.matches("what mallory sends is built without approval").count(), 1, "{all:?}");
    world.nomad.child("builder", 3).await;
    assert_eq!(actor.runs(&["held", "--json"]).await.json()["held"][0]["claim"], eve);
    let rest = actor.runs(&["approve", "--all", "--repo", REPO, "--json"]).await;
    rest.ends(0, "");
    let rest = rest.json();
    assert_eq!((&rest[0]["claim"], rest.as_array().unwrap().len()), (&eve.into(), 1), "{rest}");
    world.nomad.child("builder", 4).await;
    let nothing = actor.runs(&["approve", "--all", "--repo", REPO]).await;
    nothing.ends(0, "");
    assert_eq!((nothing.out.as_str(), world.nomad.dispatches()), ("nothing is held\n", 4));
}

#[tokio::test]
async fn several_are_approved_and_one_that_cannot_be_is_named() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    let one = holds(&world, &serve, 3, ("mallory", 4), &[]).await;
    let two = holds(&world, &serve, 4, ("eve", 9), &[]).await;
    let unknown = "f".repeat(64);
    let said = actor.runs(&["approve", &one, &unknown, &two]).await;
    said.ends(2, &unknown);
    let builds = [world.nomad.child("builder", 1).await, world.nomad.child("builder", 2).await];
    for claim in [&one, &two] {
        let line = said.out.lines().find(|line| line.starts_with(claim.as_str())).unwrap_or_else(|| panic!("{said:?}"));
        assert!(builds.iter().any(|build| line.ends_with(build)) || line.contains("waiting for"), "{said:?}");
    }
    actor.runs(&["approve", "short"]).await.ends(2, "64");
}

#[tokio::test]
async fn a_sender_is_approved_always_listed_and_revoked() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    let nobody = actor.runs(&["approved"]).await;
    nobody.ends(0, "");
    assert_eq!(nobody.out, "nobody is approved always\n");
    let claim = holds(&world, &serve, 3, ("mallory", 4), &[]).await;
    let said = actor.runs(&["approve", &claim, "--always"]).await;
    said.ends(0, "");
    assert!(
        said.out.ends_with("what mallory sends is built without approval from now on, never with secrets\n"),
        "{said:?}"
    );
    let account = Fault::Text(200, r#"{"id":9,"login":"eve"}"#);
    world.forge.faults().arm("GET", "/users/eve", Times::Next(1), account);
    let eve = actor.runs(&["approve", "--always", "--repo", REPO, "--sender", "eve"]).await;
    eve.ends(0, "");
    assert_eq!(eve.out, format!("eve (9): approved always for {REPO}; `albatros revoke {REPO} eve` takes it back\n"));

    let listed = actor.runs(&["approved", "--repo", REPO]).await;
    listed.ends(0, "");
    let words: Vec<Vec<&str>> = listed.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0], ["LOGIN", "ID", "SINCE", "REPOSITORY"]);
    assert_eq!((words[1][0], words[1][1], words[2][0], words[2][3]), ("eve", "9", "mallory", REPO));
    let json = actor.runs(&["approved", "--json"]).await.json();
    assert_eq!((&json[1]["login"], &json[1]["id"]), (&"mallory".into(), &4.into()), "{json}");
    let reader = Person::at(&serve.url, Some(READER));
    reader.runs(&["approved"]).await.ends(0, "");
    reader.runs(&["revoke", REPO, "eve"]).await.ends(2, "wrong credential");
    Person::at(&serve.url, None).runs(&["approved"]).await.ends(2, "wrong credential");

    actor.runs(&["revoke", REPO, "eve", "--id", "8"]).await.ends(0, "");
    assert_eq!(actor.runs(&["approved", "--json"]).await.json().as_array().unwrap().len(), 2);
    let revoked = actor.runs(&["revoke", REPO, "eve"]).await;
    revoked.ends(0, "");
    assert_eq!(revoked.out, "eve: not approved any more\n");
    let json = actor.runs(&["revoke", REPO, "eve", "--json"]).await.json();
    assert_eq!((&json["revoked"], &json["held_again"]), (&false.into(), &serde_json::json!([])), "{json}");
}
