//! The verbs that talk to a server, as a person or a script runs them: what they print, and how they exit.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::wire::PATIENCE;
use crate::fake::world::{ACTOR, FORGE, READER, SECRET, World};

mod codes;
mod held;
mod lists;
mod looks;
mod people;
mod started;

/// What a verb printed, and its exit code.
#[derive(Debug)]
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    /// `--json`'s answer.
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// That it ended with this code, and with these words on standard error: with none where there is nothing to say.
    fn ends(&self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(words) && self.err.is_empty() == words.is_empty(), "{words}: {self:?}");
    }
}

/// Who runs verbs: the environment is this and nothing else.
#[derive(Debug, Clone, Default)]
struct Person {
    url: Option<String>,
    token: Option<&'static str>,
}

impl Person {
    fn at(url: &str, token: Option<&'static str>) -> Self {
        Self { url: Some(url.to_owned()), token }
    }

    /// Runs a verb to its end. Nothing secret is ever printed, and nothing for terminals where there is none.
    async fn runs(&self, verb: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
        command.args(verb).env_clear().stdin(Stdio::null()).kill_on_drop(true);
        if let Some(url) = &self.url {
            command.env("ALBATROS_URL", url);
        }
        if let Some(token) = self.token {
            command.env("ALBATROS_TOKEN", token);
        }
        let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let code = output.status.code().unwrap();
        let said = Said { code, out: text(output.stdout), err: text(output.stderr) };
        for hidden in [ACTOR, READER, FORGE, SECRET, "\x1b"] {
            assert!(!said.out.contains(hidden) && !said.err.contains(hidden), "{verb:?}: {said:?}");
        }
        said
    }

    /// The same beside the test.
    fn starts(&self, verb: &[&str]) -> tokio::task::JoinHandle<Said> {
        let (this, verb) = (self.clone(), verb.iter().map(ToString::to_string).collect::<Vec<_>>());
        tokio::spawn(async move { this.runs(&verb.iter().map(String::as_str).collect::<Vec<_>>()).await })
    }
}

#[tokio::test]
async fn what_is_shown_is_a_table_for_people_and_json_for_programs() {
    let world = World::new().await;
    let serve = world.serve().await;
    let anybody = Person::at(&serve.url, None);
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 3);
    world.all_done(1).await;
    let one = anybody.runs(&["status", &build, "--json"]).await;
    one.ends(1, "");
    let one = one.json();
    let listed = anybody.runs(&["list", "--json"]).await;
    listed.ends(0, "");
    assert_eq!(listed.json(), Value::Array(vec![one.clone()]));
    let commit = commit(2);
    for (field, value) in [
        ("build", build.as_str()),
        ("state", "failure"),
        ("repo", REPO),
        ("ref", "refs/heads/main"),
        ("commit", &commit),
        ("flavor", "default"),
        ("event", "push"),
    ] {
        assert_eq!(one[field], value, "{field}: {one}");
    }
    assert_eq!((&one["ended"], &one["exit_code"], &one["private"]), (&true.into(), &3.into(), &false.into()), "{one}");
    assert_eq!(one["claim"].as_str().unwrap().len(), 64);
    assert!(one["reason"].as_str().unwrap().starts_with("Failed with exit 3"), "{one}");
    assert!(one["log"].as_str().unwrap().starts_with("https://ci.example/build?job=builder"), "{one}");
    for field in ["created", "started", "finished"] {
        assert!(one[field].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{field}: {one}");
    }

    let table = anybody.runs(&["list"]).await.out;
    let line = table.lines().find(|line| line.contains(&build)).unwrap_or_else(|| panic!("{table}"));
    assert!(line.contains("failure") && line.contains(REPO) && line.contains(&commit[..8]), "{table}");
    let page = anybody.runs(&["status", &build]).await.out;
    assert!(page.contains("Failed with exit 3") && page.contains(&commit), "{page}");
    for (asked, count) in [("success", 0), ("failure", 1)] {
        let found = anybody.runs(&["list", "--json", "--state", asked, "--branch", "main", "--repo", REPO]).await;
        assert_eq!(found.json().as_array().unwrap().len(), count, "{asked}: {found:?}");
    }
}

#[tokio::test]
async fn a_list_of_nothing_is_said_to_be_so() {
    let world = World::new().await;
    let serve = world.serve().await;
    let anybody = Person::at(&serve.url, None);
    let none = anybody.runs(&["list"]).await;
    none.ends(0, "");
    assert_eq!(none.out, "no builds\n");
    assert_eq!(anybody.runs(&["list", "--json"]).await.json(), Value::Array(Vec::new()));
}

#[tokio::test]
async fn without_a_commit_the_forge_is_asked_for_it() {
    let world = World::new().await;
    let serve = world.serve().await;
    let actor = Person::at(&serve.url, Some(ACTOR));
    world.forge.push("quentin/albatros", "main", &commit(7));
    let asked = || world.forge.wire().seen().iter().filter(|one| one.path.ends_with("/branches/main")).count();

    let named = actor.runs(&["trigger", REPO, "--branch", "main", "--commit", &commit(5), "--json"]).await;
    named.ends(0, "");
    let answer = named.json();
    let job = world.nomad.job(answer["build"].as_str().unwrap());
    assert_eq!((&job["Meta"]["COMMIT"], asked()), (&commit(5).into(), 0), "{job}");
    assert!(answer["claim"].is_string() && answer["log"].is_string(), "{answer}");

    let started = actor.runs(&["trigger", REPO]).await;
    started.ends(0, "");
    let build = started.out.lines().next().unwrap();
    let job = world.nomad.job(build);
    assert_eq!(job["Meta"]["COMMIT"], commit(7), "{job}");
    assert_eq!((&job["Meta"]["BRANCH"], &job["Meta"]["SENDER"]), (&"main".into(), &"@trigger".into()), "{job}");
    assert!(asked() > 0);
    actor.runs(&["trigger", REPO, "--ref", "nowhere"]).await.ends(2, "the forge does not know it");
}

#[tokio::test]
async fn what_is_held_is_approved_by_its_claim() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.commit("quentin/albatros", &commit(2));
    let reply = Delivery::pull(3, &commit(2)).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let actor = Person::at(&serve.url, Some(ACTOR));
    let held = actor.runs(&["list", "--state", "held", "--json"]).await.json()[0].clone();
    let claim = held["claim"].as_str().unwrap();
    assert_eq!((&held["build"], &held["pull_request"]), (&Value::Null, &3.into()), "{held}");
    assert!(actor.runs(&["list"]).await.out.contains(claim), "it stands where a build's id would");
    let waits = actor.runs(&["status", claim]).await;
    waits.ends(0, "");
    assert!(waits.out.contains("waiting for approval"), "{waits:?}");

    Person::at(&serve.url, Some(READER)).runs(&["approve", claim]).await.ends(2, "a token that may act");
    assert_eq!(world.nomad.dispatches(), 0);
    let approved = actor.runs(&["approve", claim]).await;
    approved.ends(0, "");
    let build = world.nomad.child("builder", 1).await;
    assert_eq!(approved.out.lines().next(), Some(build.as_str()), "{approved:?}");
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(actor.runs(&["status", claim, "--json"]).await.json()["build"], build);
}
