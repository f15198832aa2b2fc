//! Cancel, retry and approve from a page, and who cannot.

use crate::fake::browser::{Browser, location};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, READER, SECRET, World, person};

async fn running(world: &World, serve: &Serve) -> String {
    let build = world.build(serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    build
}

#[tokio::test]
async fn who_has_signed_in_cancels_with_a_button() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let browser = Browser::signed_in(&serve, ACTOR).await;
    let csrf = browser.csrf().await;
    let page = format!("/builds/{build}");
    let reply = browser.post(&format!("{page}/cancel"), &[("csrf", &csrf)]).await;
    assert_eq!(location(&reply), page);
    world.none_open().await;
    assert_eq!(world.nomad.job(&build)["Stop"], true);
    let again = browser.post(&format!("{page}/cancel"), &[("csrf", &csrf)]).await;
    assert_eq!(location(&again), page, "it is over, and the page says so");
}

/// Whatever other sites have a browser do, and whatever is wrong with a form, nothing comes of it.
#[tokio::test]
async fn a_cookie_alone_never_acts() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let browser = Browser::signed_in(&serve, ACTOR).await;
    let (csrf, page) = (browser.csrf().await, format!("/builds/{build}"));
    let cancel = format!("{page}/cancel");
    let other = Browser::signed_in(&serve, ACTOR).await.csrf().await;
    assert_ne!(csrf, other, "each sign-in has its own");

    for fields in [
        vec![],
        vec![("csrf", "")],
        vec![("csrf", "guessed")],
        vec![("csrf", other.as_str())],
        vec![("csrf", &csrf[..63])],
        vec![("csrf", csrf.as_str()), ("csrf", csrf.as_str())],
    ] {
        let reply = browser.post(&cancel, &fields).await;
        assert_eq!(reply.status, 403, "{fields:?}: {}", reply.text);
    }
    let right = [("csrf", csrf.as_str())];
    for headers in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "http://127.0.0.1:1"),
    ] {
        let reply = browser.send("POST", &cancel, &[headers], Some(&right)).await;
        assert_eq!(reply.status, 403, "{headers:?}: {}", reply.text);
    }
    // As programs ask: the cookie is none of theirs.
    let json = [("content-type", "application/json")];
    for (method, path, headers) in [
        ("DELETE", page.as_str(), &[][..]),
        ("DELETE", page.as_str(), &json[..]),
        ("POST", cancel.as_str(), &[][..]),
        ("POST", cancel.as_str(), &json[..]),
        ("POST", cancel.as_str(), &[("content-type", "text/plain")][..]),
        ("POST", cancel.as_str(), &[("content-type", "multipart/form-data; boundary=x")][..]),
    ] {
        let reply = browser.send(method, path, headers, None).await;
        assert_eq!(reply.status, 401, "{method} {headers:?}: {}", reply.text);
    }
    assert_eq!(browser.get(&format!("{cancel}?csrf={csrf}")).await.status, 405, "GET never acts");
    // Nobody's cookie, and one that may only read.
    assert_eq!(Browser::new(&serve).post(&cancel, &right).await.status, 401);
    let reader = Browser::signed_in(&serve, READER).await;
    assert_eq!(reader.post(&cancel, &[("csrf", &reader.csrf().await)]).await.status, 401);
    assert_eq!(world.nomad.job(&build)["Stop"], false);
    assert!(world.open()[0].1["stop"].is_null());
}

#[tokio::test]
async fn a_token_typed_into_the_form_does_without_a_cookie() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let (browser, page) = (Browser::new(&serve), format!("/builds/{build}"));
    for token in ["guessed", READER] {
        let reply = browser.post(&format!("{page}/cancel"), &[("token", token)]).await;
        assert_eq!(reply.status, 401, "{token}: {}", reply.text);
        assert!(reply.text.contains("<h1>") && !reply.text.contains(token), "{}", reply.text);
    }
    let evil = [("origin", "https://evil.example")];
    let reply = browser.send("POST", &format!("{page}/cancel"), &evil, Some(&[("token", ACTOR)])).await;
    assert_eq!(reply.status, 403);
    assert_eq!(world.nomad.job(&build)["Stop"], false);
    // A cookie that may only read takes nothing away from it.
    let reader = Browser::signed_in(&serve, READER).await;
    assert_eq!(location(&reader.post(&format!("{page}/cancel"), &[("token", ACTOR)]).await), page);
    world.none_open().await;
}

#[tokio::test]
async fn programs_are_answered_as_ever() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let cancel = format!("/builds/{build}/cancel");
    // As `curl -d ''` sends it.
    let form = [("content-type", "application/x-www-form-urlencoded"), ("authorization", &format!("Bearer {ACTOR}"))];
    let mut curl = Browser::new(&serve);
    curl.cookie = Browser::signed_in(&serve, READER).await.cookie;
    let reply = curl.send("POST", &cancel, &form, None).await;
    assert_eq!((reply.status, reply.text.as_str()), (202, "cancelling\n"));
    world.none_open().await;
    let reply = person(&serve, "POST", &cancel, Some(ACTOR)).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "it is over: cancelled\n"));
    assert_eq!(person(&serve, "POST", &cancel, None).await.status, 401);
}

#[tokio::test]
async fn retry_leads_to_the_new_build_and_a_button_pressed_twice_builds_once() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = running(&world, &serve).await;
    let browser = Browser::signed_in(&serve, ACTOR).await;
    let csrf = browser.csrf().await;
    let retry = format!("/builds/{build}/retry");
    let fields = [("csrf", csrf.as_str()), ("once", "0123456789abcdef")];
    let early = browser.post(&retry, &fields).await;
    assert!(early.status == 409 && early.text.contains("<h1>") && early.text.contains("not over"), "{}", early.text);
    world.nomad.exit(&build, 1);
    world.all_done(1).await;
    let claim = world.done()[0].0.clone();
    let first = location(&browser.post(&retry, &fields).await);
    let second = location(&browser.post(&retry, &fields).await);
    assert!(first != format!("/builds/{build}") && first.starts_with("/builds/builder/dispatch-"), "{first}");
    assert_eq!(first, second);
    assert_eq!(world.nomad.children("builder").len(), 2);
    let by_claim = format!("/builds/claim/{claim}/retry");
    let third = location(&browser.post(&by_claim, &[("csrf", &csrf), ("once", "another")]).await);
    assert!(third != first && third.starts_with("/builds/builder/dispatch-"), "{third}");
    assert_eq!(browser.post(&by_claim, &[("once", "x")]).await.status, 403);
}

#[tokio::test]
async fn what_is_approved_is_the_commit_that_was_shown() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.commit("quentin/albatros", &commit(2));
    let held = Delivery::pull_pushed(3, &commit(2)).send(&serve.url, SECRET).await;
    assert!(held.text.contains("held"), "{}", held.text);
    let page = format!("/builds/claim/{}", world.open()[0].0);
    let approve = format!("{page}/approve");
    let browser = Browser::signed_in(&serve, ACTOR).await;
    let csrf = browser.csrf().await;
    let csrf = ("csrf", csrf.as_str());
    let (shown, other) = (commit(2), commit(9));
    let changed = browser.post(&approve, &[csrf, ("commit", &other)]).await;
    assert!(changed.status == 409 && changed.text.contains(&shown), "{}", changed.text);
    assert_eq!(browser.post(&approve, &[csrf]).await.status, 400);
    assert_eq!(browser.post(&approve, &[("commit", &shown)]).await.status, 403);
    assert_eq!(world.open()[0].1["phase"]["is"], "held");
    let approved = location(&browser.post(&approve, &[csrf, ("commit", &shown), ("always", "true")]).await);
    assert!(approved.starts_with("/builds/"), "{approved}");
    let list = person(&serve, "GET", "/approved", Some(ACTOR)).await;
    assert!(list.text.starts_with("mallory\t"), "{}", list.text);
    world.nomad.child("builder", 1).await;

    // A newer push takes its place: what the old page showed is not approved any more.
    person(&serve, "DELETE", "/approved?repo=http://127.0.0.1:3300/quentin/albatros.git&login=mallory", Some(ACTOR))
        .await;
    let arrives = async |n: u64| {
        world.forge.commit("quentin/albatros", &commit(n));
        Delivery::pull_pushed(5, &commit(n)).send(&serve.url, SECRET).await
    };
    arrives(3).await;
    let held = world.open().into_iter().find(|(_, record)| record["commit"] == commit(3).as_str()).unwrap();
    arrives(4).await;
    let old = format!("/builds/claim/{}/approve", held.0);
    let reply = browser.post(&old, &[csrf, ("commit", &commit(3))]).await;
    assert_eq!(reply.status, 409, "{}", reply.text);
    assert_eq!(world.nomad.builds_of(&commit(3)).len(), 0);
}
