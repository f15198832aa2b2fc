//! The picture of how a branch's newest build came out: for everybody, of what everybody may know.

use crate::fake::browser::Browser;
use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::http::{Reply, client};
use crate::fake::serve::Serve;
use crate::fake::world::{ACTOR, READER, World, person};

async fn badge(serve: &Serve, query: &str) -> Reply {
    person(serve, "GET", &format!("/badge.svg?repo={REPO}{query}"), None).await
}

fn says(reply: &Reply, word: &str) {
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.text.contains(&format!(": {word}</title>")), "{word}: {}", reply.text);
}

#[tokio::test]
async fn a_branch_s_badge_says_how_its_newest_build_came_out() {
    let world = World::new().await;
    let serve = world.serve().await;
    let ends: [(&str, u64, &str, Option<i64>); 3] =
        [("main", 2, "passing", Some(0)), ("dev", 3, "failing", Some(3)), ("slow", 4, "running", None)];
    for (branch, n, _, exit) in ends {
        let build = world.build(&serve, branch, &commit(n + 10), &commit(n)).await;
        world.nomad.run(&build);
        if let Some(exit) = exit {
            world.nomad.exit(&build, exit);
        }
    }
    let finals = || world.done().len() == 2;
    world.consul.wait("albatros-builds/", "two that have ended", |_| finals()).await;
    for (branch, _, word, _) in ends {
        says(&badge(&serve, &format!("&branch={branch}")).await, word);
    }
    says(&badge(&serve, "&branch=none").await, "unknown");
    let default = badge(&serve, "").await;
    says(&default, "passing");
    assert_eq!(default.headers["content-type"], "image/svg+xml; charset=utf-8");
    assert_eq!(default.headers["cache-control"], "public, max-age=30");
    let flavored = badge(&serve, "&flavor=default").await;
    assert!(flavored.text.contains("<title>default: passing</title>"), "{}", flavored.text);
    says(&badge(&serve, "&flavor=big").await, "unknown");
    assert_eq!(badge(&serve, "&flavor=%3Cscript%3E").await.status, 400);

    let tag = default.headers["etag"].to_str().unwrap();
    let again = |known: String| {
        let request = client().get(format!("{}/badge.svg?repo={REPO}", serve.url)).header("if-none-match", known);
        async { Reply::read(request.send().await.unwrap()).await }
    };
    for known in [tag.to_owned(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
        let same = again(known.clone()).await;
        assert_eq!((same.status, same.text.as_str()), (304, ""), "{known}");
    }
    assert_eq!(again("\"other\"".to_owned()).await.status, 200);
}

#[tokio::test]
async fn what_is_private_looks_like_what_is_not_there() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let build = world.build_by(&serve, &Delivery::push("main", &commit(1), &commit(2)).private()).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let path = format!("/badge.svg?repo={REPO}&branch=main");
    let unknown = person(&serve, "GET", "/badge.svg?repo=https://git.example/nobody/nothing&branch=main", None).await;
    says(&unknown, "unknown");
    assert_eq!(unknown.headers["cache-control"], "private, no-store");
    for bearer in [None, Some("guessed")] {
        let stranger = person(&serve, "GET", &path, bearer).await;
        assert_eq!((stranger.status, &stranger.text), (200, &unknown.text));
        for name in ["cache-control", "etag", "vary", "content-type"] {
            assert_eq!(stranger.headers.get(name), unknown.headers.get(name), "{name}");
        }
    }
    for bearer in [READER, ACTOR] {
        let reader = person(&serve, "GET", &path, Some(bearer)).await;
        says(&reader, "passing");
        assert_eq!(reader.headers["cache-control"], "private, no-store");
    }
    says(&Browser::signed_in(&serve, READER).await.get(&path).await, "passing");
    says(&badge(&serve, "").await, "unknown");
    // What readers have seen is kept for them alone.
    assert_eq!(person(&serve, "GET", &path, None).await.text, unknown.text);
}

/// Anybody may ask for anything: that costs nobody else anything, and stands in no log.
#[tokio::test]
async fn badges_of_what_is_not_configured_ask_nobody() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.followed().await;
    says(&badge(&serve, "&branch=main").await, "unknown");
    let asked = || world.forge.wire().seen().len();
    let before = asked();
    for n in 0..20 {
        let path = format!("/badge.svg?repo=https://git.example/stranger/words-{n}");
        says(&person(&serve, "GET", &path, None).await, "unknown");
    }
    for repo in ["", "x", "javascript:alert(1)", "https://u:p@git.example/o/r", "%00"] {
        says(&person(&serve, "GET", &format!("/badge.svg?repo={repo}"), None).await, "unknown");
    }
    assert_eq!(asked(), before);
    assert!(!world.printed().contains("stranger/words"));
    // The default branch of one that is configured is asked for once.
    for _ in 0..5 {
        says(&badge(&serve, "").await, "unknown");
    }
    assert_eq!(asked(), before + 1);
}
