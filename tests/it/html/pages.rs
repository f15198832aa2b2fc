//! Each kind of page that a server has, in each state that it shows.

use super::assert_valid;
use crate::fake::browser::Browser;
use crate::fake::delivery::{Delivery, commit};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, SECRET, World};

/// A builder's word of a build as a path.
fn page(build: &str) -> String {
    format!("/builds/{build}")
}

/// Builds of which each is in another state: their pages.
async fn builds(world: &World, serve: &Serve) -> Vec<String> {
    let mut pages = Vec::new();
    for n in 0..6 {
        let branch = ["queued", "blocked", "running", "green", "red", "unprepared"][n];
        let n = n as u64 * 2;
        let build = world.build(serve, branch, &commit(n + 1), &commit(n + 2)).await;
        match branch {
            "blocked" => world.nomad.block(&build),
            "running" => {
                world.nomad.run(&build);
                world.nomad.say(&build, "\u{1b}[1;31mred\u{1b}[0m <b>\n&amp; \"more\"\n");
            }
            "green" | "red" => {
                world.nomad.run(&build);
                world.nomad.say(&build, "a line\n");
                world.nomad.exit(&build, i64::from(branch == "red"));
            }
            "unprepared" => world.nomad.fail_prestart(&build),
            _ => {}
        }
        pages.push(page(&build));
    }
    pages
}

#[tokio::test]
async fn each_kind_of_page_is_valid() {
    let world = World::new().await;
    let serve = world.serve().await;
    let stranger = Browser::new(&serve);
    assert_valid(&stranger.get("/builds").await.text);
    let pages = builds(&world, &serve).await;
    let pull = Delivery::pull(3, &commit(90));
    world.forge.commit("quentin/albatros", &commit(90));
    let held = pull.send(&serve.url, SECRET).await;
    assert_eq!(held.status, 202, "{}", held.text);
    let claim = held.text.split_once("/builds/claim/").unwrap().1.split_whitespace().next().unwrap().to_owned();
    world.consul.wait("albatros-builds/", "three ended changes", |_| world.done().len() == 3).await;

    let member = Browser::signed_in(&serve, ACTOR).await;
    let named = ["/builds", "/builds?state=failure&branch=%3Cb%3E&repo=x", "/builds?limit=2", "/signin", "/builds/a/b"];
    let mut addresses: Vec<String> = named.map(str::to_owned).to_vec();
    addresses.push(format!("/builds/claim/{claim}"));
    addresses.push(format!("/builds/claim/{}", "0".repeat(64)));
    for page in &pages {
        addresses.extend([page.clone(), format!("{page}/log")]);
    }
    for browser in [&stranger, &member] {
        for address in &addresses {
            let reply = browser.get(address).await;
            assert!(reply.text.starts_with("<!doctype html>"), "{address}: {} {}", reply.status, reply.text);
            assert_valid(&reply.text);
        }
    }
    let wrong = stranger.post("/signin", &[("token", "guessed"), ("back", "/builds")]).await;
    assert_valid(&wrong.text);
    // What a form is told that may do nothing, or comes too late.
    let csrf = member.csrf().await;
    for (page, act) in [(&pages[3], "cancel"), (&pages[2], "retry")] {
        let refused = member.post(&format!("{page}/{act}"), &[("csrf", &csrf)]).await;
        assert!(refused.status >= 300, "{} {}", refused.status, refused.text);
        if refused.status >= 400 {
            assert_valid(&refused.text);
        }
    }
    let refused = stranger.post(&format!("{}/cancel", pages[0]), &[]).await;
    assert_valid(&refused.text);
    assert!(refused.status >= 400, "{}", refused.status);
}
