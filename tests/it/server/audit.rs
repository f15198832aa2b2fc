//! One line a decision: who asked for what, what was decided, and why.

use std::sync::Arc;

use serde_json::Value;

use crate::fake::delivery::{Delivery, commit};
use crate::fake::http::client;
use crate::fake::serve::{Printed, Serve};
use crate::fake::world::{ACTOR, READER, SECRET, World, person};

/// A server whose lines are objects.
async fn stage() -> (World, Serve) {
    let world = World::new().await;
    world.set("ALBATROS_LOG_FORMAT", "json");
    let serve = world.serve().await;
    (world, serve)
}

/// The audit lines so far, of one kind.
fn lines(printed: &Arc<Printed>, what: &str) -> Vec<Value> {
    let all = printed.all();
    let objects = all.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    objects.filter(|line| line["target"] == "albatros::audit" && line["message"] == what).collect()
}

/// The only line of its kind, once it is there.
async fn only(serve: &Serve, what: &str) -> Value {
    serve.printed.wait(&format!("\"message\":\"{what}\"")).await;
    let found = lines(&serve.printed, what);
    assert_eq!(found.len(), 1, "exactly one line a decision: {found:#?}");
    found[0].clone()
}

fn has(line: &Value, fields: &[(&str, &str)]) {
    for (field, value) in fields {
        let found = line[*field].as_str().map_or_else(|| line[*field].to_string(), str::to_owned);
        assert_eq!(found, *value, "{field}: {line:#}");
    }
}

#[tokio::test]
async fn a_build_s_line_says_who_what_and_why_it_is_trusted() {
    let (world, serve) = stage().await;
    world.build(&serve, "main", &commit(1), &commit(2)).await;
    let line = only(&serve, "delivery").await;
    let commit = commit(2);
    has(
        &line,
        &[
            ("verdict", "built"),
            ("forge", "gitea"),
            ("repo", "http://127.0.0.1:3300/quentin/albatros.git"),
            ("event", "push"),
            ("ref", "refs/heads/main"),
            ("commit", commit.as_str()),
            ("flavor", "default"),
            ("sender", "quentin"),
            ("trusted", "true"),
            ("why", "sender quentin is in trusted.senders"),
            ("level", "INFO"),
        ],
    );
    assert_eq!(line["claim"], world.open()[0].0.rsplit('/').next().unwrap());
    assert!(line["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    // The secrets went along as payload: that is a decision too.
    has(&only(&serve, "secrets").await, &[("verdict", "handed over"), ("secrets", "true")]);
}

#[tokio::test]
async fn each_delivery_that_is_verified_has_one_line_with_its_verdict() {
    let (world, serve) = stage().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let push = Delivery::push("main", &commit(1), &commit(2));
    push.send(&serve.url, SECRET).await;
    push.send(&serve.url, SECRET).await;
    Delivery::push("main", &commit(1), &commit(2)).sender("lx").send(&serve.url, SECRET).await;
    Delivery::recorded("delete-branch").send(&serve.url, SECRET).await;
    Delivery::pull(5, &commit(9)).send(&serve.url, SECRET).await;
    serve.printed.wait("waits for approval").await;
    let told = lines(&serve.printed, "delivery");
    let verdicts: Vec<&str> = told.iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["built", "duplicate", "built", "ignored", "held"], "{told:#?}");
    assert_eq!(told[1]["claim"], told[0]["claim"]);
    has(&told[2], &[("trusted", "false"), ("why", "sender lx is not in trusted.senders")]);
    assert!(told[3]["reason"].as_str().unwrap().contains("deleted"), "{}", told[3]);
    has(&told[4], &[("event", "pull_request"), ("why", "a pull request from a fork is never trusted")]);
}

#[tokio::test]
async fn strangers_get_a_line_a_second_and_no_more() {
    let (_world, serve) = stage().await;
    let push = Delivery::push("main", &commit(1), &commit(2));
    let began = std::time::Instant::now();
    for _ in 0..30 {
        assert_eq!(push.send(&serve.url, "guessed").await.status, 401);
        client().post(format!("{}/hook", serve.url)).body("{").send().await.unwrap();
        person(&serve, "DELETE", "/builds/builder/dispatch-1-00000000", Some("guessed-too")).await;
    }
    serve.printed.wait("\"verdict\":\"unauthorized\"").await;
    let most = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    let told = lines(&serve.printed, "delivery");
    assert!(told.len() <= most, "{} lines: {told:#?}", told.len());
    assert!(!serve.printed.all().contains("guessed"));
}

#[tokio::test]
async fn what_people_do_is_told_with_the_kind_of_their_credential() {
    let (world, serve) = stage().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    let page = format!("/builds/{build}");
    assert_eq!(person(&serve, "DELETE", &page, Some(READER)).await.status, 401);
    assert!(person(&serve, "DELETE", &page, Some(ACTOR)).await.status < 300);
    has(
        &only(&serve, "cancel").await,
        &[("verdict", "asked for"), ("by", "a token of the repository"), ("way", "bearer"), ("sender", "quentin")],
    );
    world.all_done(1).await;
    let again = person(&serve, "POST", &format!("{page}/retry"), Some(ACTOR)).await;
    assert!(again.status < 300, "{}", again.text);
    let retry = only(&serve, "retry").await;
    has(&retry, &[("verdict", "built"), ("sender", "@trigger"), ("trusted", "false")]);
    assert_eq!(retry["of"], world.done()[0].0.rsplit('/').next().unwrap());
    Delivery::pull(5, &commit(9)).send(&serve.url, SECRET).await;
    serve.printed.wait("waits for approval").await;
    let held = lines(&serve.printed, "delivery").pop().unwrap()["claim"].as_str().unwrap().to_owned();
    let path = format!("/builds/claim/{held}/approve?always=true");
    let approved = person(&serve, "POST", &path, Some(ACTOR)).await;
    assert!(approved.status < 300, "{}", approved.text);
    has(&only(&serve, "approve").await, &[("verdict", "approved"), ("claim", &held)]);
    has(&only(&serve, "approve always").await, &[("verdict", "approved")]);
    has(&only(&serve, "credential").await, &[("verdict", "unauthorized")]);
}

#[tokio::test]
async fn nobody_makes_up_a_line_by_how_he_calls_himself() {
    let world = World::new().await;
    let serve = world.serve().await;
    let evil = "quentin\n2026-11-22T00:00:00Z  INFO albatros::audit: delivery verdict=\"made up\" \u{1b}[31m\u{202e}";
    Delivery::push("main", &commit(1), &commit(2)).sender(evil).send(&serve.url, SECRET).await;
    let line = serve.printed.wait("delivery verdict=\"refused\"").await;
    assert!(line.contains("INFO albatros::audit: delivery"), "{line}");
    let all = serve.printed.all();
    assert!(!all.contains('\u{1b}') && !all.contains('\u{202e}'), "{line}");
    assert!(!all.lines().any(|line| line.starts_with("2026-11-22T00:00:00Z")), "{all}");
}
