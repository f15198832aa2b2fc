//! Builds that a person asks for: of what the forge says, with what he gives along.

use serde_json::{Value, json};

use super::session::{exchange, named, secret};
use crate::fake::delivery::{REPO, commit};
use crate::fake::fault::{Fault, Times};
use crate::fake::http::{Reply, client};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, World, person};

const MINE: &str = "quentin/albatros";

/// A commit whose first digits say which one it is.
fn other(n: u64) -> String {
    format!("{n:x}{}", "e".repeat(40 - format!("{n:x}").len()))
}

async fn ask(serve: &Serve, fields: Value, headers: &[(&str, &str)]) -> Reply {
    let mut body = json!({"repo": REPO});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let mut request = client().post(format!("{}/trigger", serve.url)).bearer_auth(ACTOR).json(&body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Reply::read(request.send().await.unwrap()).await
}

/// The child of an answer that names one.
fn child(world: &World, reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text);
    world.nomad.job(reply.text.lines().next().unwrap())
}

#[tokio::test]
async fn what_is_named_is_built_at_the_commit_that_the_forge_says() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push(MINE, "main", &other(0xa1));
    world.forge.push(MINE, "main", &other(0xa2));
    world.forge.push(MINE, "next", &other(0xb1));
    world.forge.tag(MINE, "v1", &other(0xc1));
    for (fields, expected, git_ref) in [
        (json!({}), other(0xa2), "refs/heads/main"),
        (json!({"branch": "next"}), other(0xb1), "refs/heads/next"),
        (json!({"ref": "next"}), other(0xb1), "refs/heads/next"),
        (json!({"tag": "v1"}), other(0xc1), "refs/tags/v1"),
        (json!({"commit": "a1ee"}), other(0xa1), "refs/heads/main"),
        (json!({"commit": other(0xa1)}), other(0xa1), "refs/heads/main"),
        (json!({"branch": "main", "commit": "A1EEE"}), other(0xa1), "refs/heads/main"),
    ] {
        let job = child(&world, &ask(&serve, fields.clone(), &[]).await);
        let meta = &job["Meta"];
        assert_eq!((&meta["COMMIT"], &meta["REF"]), (&expected.into(), &git_ref.into()), "{fields}");
        assert_eq!((&meta["SENDER"], &meta["TRUSTED"]), (&"@trigger".into(), &"false".into()), "{fields}");
    }
    for (fields, status, words) in [
        (json!({"commit": "b1ee"}), 422, "is not on refs/heads/main"),
        (json!({"commit": "ffff"}), 422, "the forge knows none that begins with ffff"),
        (json!({"branch": "nowhere"}), 422, "the forge does not know it"),
        (json!({"pull_request": 9}), 422, "the forge knows no 9"),
        (json!({"commit": "main"}), 400, "hexadecimal digits"),
        (json!({"branch": "main", "tag": "v1"}), 400, "and not several"),
        (json!({"branches": "main"}), 422, "unknown field"),
    ] {
        let refused = ask(&serve, fields.clone(), &[]).await;
        assert!(
            refused.status == status && refused.text.contains(words),
            "{fields}: {} {}",
            refused.status,
            refused.text
        );
    }
    assert_eq!(world.nomad.dispatches(), 7);
}

#[tokio::test]
async fn without_a_forge_ref_and_commit_are_needed() {
    let world = World::new().await;
    let mut config = world.config();
    config.as_object_mut().unwrap().remove("gitea");
    world.put_config(&config);
    let serve = world.serve().await;
    for (fields, words) in [
        (json!({}), "branch: needed"),
        (json!({"branch": "main"}), "commit: needed"),
        (json!({"branch": "main", "commit": "abcd"}), "all of its digits"),
        (json!({"pull_request": 3}), "no forge is configured"),
    ] {
        let refused = ask(&serve, fields.clone(), &[]).await;
        assert!(refused.status == 400 && refused.text.contains(words), "{fields}: {}", refused.text);
    }
    let job = child(&world, &ask(&serve, json!({"branch": "main", "commit": commit(5)}), &[]).await);
    assert_eq!(job["Meta"]["COMMIT"], commit(5));
}

#[tokio::test]
async fn a_pull_request_that_is_asked_for_is_built_at_its_head_and_never_trusted() {
    let world = World::new().await;
    let mut config = world.config();
    config["trusted"]["senders"] = json!(["quentin", "@trigger"]);
    config["pull_requests"] = "ignore".into();
    world.put_config(&config);
    let serve = world.serve().await;
    world.forge.push(MINE, "main", &commit(1));
    world.forge.pull(MINE, 3, &commit(2), &["src/lib.rs"]);
    let job = child(&world, &ask(&serve, json!({"pull_request": 3}), &[]).await);
    let meta = &job["Meta"];
    assert_eq!((&meta["COMMIT"], &meta["REF"]), (&commit(2).into(), &"refs/pull/3/head".into()));
    assert_eq!((&meta["TRUSTED"], &meta["EVENT"]), (&"false".into(), &"pull_request".into()));
    assert!(job["Payload"].is_null(), "no secrets");
    let trusted = child(&world, &ask(&serve, json!({"branch": "main"}), &[]).await);
    assert_eq!(trusted["Meta"]["TRUSTED"], "true", "it was not for the sender");
}

#[tokio::test]
async fn what_is_given_along_reaches_the_build_and_is_shown() {
    let world = World::new().await;
    let builder = Builder::plain("builder").optional(&["REF", "TRUSTED", "VERSION"]);
    world.nomad.register(&builder);
    let serve = world.serve().await;
    world.forge.push(MINE, "main", &commit(1));
    let reply = ask(&serve, json!({"params": {"VERSION": "1.2 $x"}}), &[]).await;
    let job = child(&world, &reply);
    assert_eq!(job["Meta"]["VERSION"], "1.2 $x");
    let build = reply.text.lines().next().unwrap();
    world.nomad.run(build);
    world.nomad.exit(build, 0);
    world.all_done(1).await;
    let shown = client().get(format!("{}/builds/{build}", serve.url)).header("accept", "application/json");
    let shown = Reply::read(shown.bearer_auth(ACTOR).send().await.unwrap()).await.value();
    assert_eq!((&shown["params"], &shown["sender"]), (&json!({"VERSION": "1.2 $x"}), &"@trigger".into()), "{shown}");
}

#[tokio::test]
async fn a_controller_is_given_them_whether_the_build_is_trusted_or_not() {
    let world = World::new().await;
    world.nomad.register(&Builder::full("builder"));
    let serve = world.serve().await;
    world.forge.push(MINE, "main", &commit(1));
    for (senders, inject) in [(json!(["quentin"]), false), (json!(["@trigger"]), true)] {
        let mut config = world.config();
        config["trusted"]["senders"] = senders;
        world.put_config(&config);
        let reply = ask(&serve, json!({"params": {"VERSION": "1.2"}}), &[]).await;
        let job = child(&world, &reply);
        assert!(job["Meta"].get("VERSION").is_none(), "the builder does not declare it");
        let build = reply.text.lines().next().unwrap();
        world.nomad.place(build);
        named(&world, build).await;
        let token = world.nomad.sign(&world.nomad.claims(build));
        let claim = job["Meta"]["ALBATROS_CLAIM"].as_str().unwrap();
        let granted = exchange(&serve, &token, claim, &secret()).await;
        assert_eq!(granted.status, 200, "{}", granted.text);
        let granted = granted.value();
        assert_eq!(granted["params"], json!({"VERSION": "1.2"}));
        assert_eq!(granted.get("inject").is_some(), inject);
    }
}

#[tokio::test]
async fn what_cannot_be_given_is_refused_before_anything_is_started() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push(MINE, "main", &commit(1));
    for (params, words) in [
        (json!({"VERSION": "1"}), "does not take VERSION"),
        (json!({"LD_PRELOAD": "x"}), "LD_PRELOAD would change"),
        (json!({"TRUSTED": "true"}), "TRUSTED is what Albatros tells"),
        (json!({"DEPLOY_KEY": "mine"}), "DEPLOY_KEY is set by the repository's configuration"),
        (json!({"A": "${NOMAD_TOKEN}"}), "which Nomad would expand"),
        (json!({"A": 1}), "expected a string"),
    ] {
        let refused = ask(&serve, json!({"params": params}), &[]).await;
        assert!(refused.status == 422 && refused.text.contains(words), "{params}: {} {}", refused.status, refused.text);
    }
    assert_eq!((world.nomad.dispatches(), world.open().len()), (0, 0));
}

#[tokio::test]
async fn a_flavor_that_looks_mistyped_is_asked_about() {
    let world = World::new().await;
    let mut config = world.config();
    config["builders"] = json!({"flavors": {"rust": {"image": "rust:1"}}});
    world.put_config(&config);
    let serve = world.serve().await;
    world.forge.push(MINE, "main", &commit(1));
    let slip = ask(&serve, json!({"flavor": "rsut"}), &[]).await;
    assert!(slip.status == 422 && slip.text.contains("did you mean `rust`?"), "{}", slip.text);
    let meant = ask(&serve, json!({"flavor": "rsut", "force": true}), &[]).await;
    assert_eq!(child(&world, &meant)["Meta"]["FLAVOR"], "rsut");
    let free = ask(&serve, json!({"flavor": "coverage"}), &[]).await;
    assert_eq!(child(&world, &free)["Meta"]["FLAVOR"], "coverage");
}

#[tokio::test]
async fn an_unknown_builder_is_told_with_the_one_that_was_meant() {
    let world = World::new().await;
    let mut config = world.config();
    config["builders"] = json!({"default": "bulider"});
    world.put_config(&config);
    let serve = world.serve().await;
    world.forge.push(MINE, "main", &commit(1));
    let refused = ask(&serve, json!({}), &[]).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(
        refused.text.contains("no builder `bulider`") && refused.text.contains("did you mean `builder`?"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn a_key_of_the_caller_s_makes_one_build_of_two_requests() {
    let world = World::new().await;
    let (one, two) = (world.serve().await, world.serve().await);
    world.forge.push(MINE, "main", &commit(1));
    let key = [("idempotency-key", "nightly 2026-11-22")];
    let (first, second) = tokio::join!(ask(&one, json!({}), &key), ask(&two, json!({}), &key));
    let build = world.nomad.child("builder", 1).await;
    for reply in [first, second, ask(&two, json!({}), &key).await] {
        let named = reply.text.lines().next() == Some(build.as_str());
        assert!(reply.status == 202 || (reply.status == 200 && named), "{} {}", reply.status, reply.text);
    }
    assert_eq!(world.nomad.dispatches(), 1);
    assert_eq!(child(&world, &ask(&one, json!({}), &[]).await)["Meta"]["COMMIT"], commit(1));
    assert_eq!(world.nomad.dispatches(), 2, "without a key each request is a build of its own");
    assert_eq!(ask(&one, json!({}), &[("idempotency-key", "")]).await.status, 400);
}

/// The record says all that is to be dispatched, so whoever comes next gives the same.
#[tokio::test]
async fn a_server_that_is_killed_between_claim_and_dispatch_loses_nothing() {
    let world = World::new().await;
    world.nomad.register(&Builder::plain("builder").optional(&["REF", "SENDER", "VERSION"]));
    let serve = world.serve().await;
    world.forge.push(MINE, "main", &commit(1));
    let mut moment = world.nomad.faults().arm("*", "/dispatch", Times::All, Fault::Hang);
    let asked = {
        let request = client().post(format!("{}/trigger", serve.url)).bearer_auth(ACTOR);
        let request = request.json(&json!({"repo": REPO, "params": {"VERSION": "1.2"}}));
        tokio::spawn(request.send())
    };
    moment.hit(1).await;
    serve.kill().await;
    let _broken_off = asked.await.unwrap();
    assert_eq!((world.nomad.dispatches(), world.open().len()), (0, 1));
    world.all_work();
    world.let_locks_go();
    let next = world.serve().await;
    let build = world.nomad.child("builder", 1).await;
    assert_eq!(world.nomad.job(&build)["Meta"]["VERSION"], "1.2");
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let done = world.done()[0].1.clone();
    assert_eq!((&done["build"], &done["params"]["VERSION"]), (&build.as_str().into(), &"1.2".into()), "{done}");
    assert_eq!(person(&next, "GET", &format!("/builds/{build}"), Some(ACTOR)).await.status, 200);
}

#[tokio::test]
async fn a_body_is_json_and_no_longer_than_it_may_be() {
    let world = World::new().await;
    let serve = world.serve().await;
    let send = async |kind: &str, body: String| {
        let request = client().post(format!("{}/trigger", serve.url)).bearer_auth(ACTOR).header("content-type", kind);
        Reply::read(request.body(body).send().await.unwrap()).await.status
    };
    assert_eq!(send("text/plain", json!({"repo": REPO}).to_string()).await, 415);
    assert_eq!(send("application/json", "{".to_owned()).await, 400);
    assert_eq!(send("application/json", json!({"ref": "main"}).to_string()).await, 422);
    assert_eq!(send("application/json", " ".repeat(300_000)).await, 413);
}
