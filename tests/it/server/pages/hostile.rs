//! What others have named does nothing on a page.

use super::{ask, page};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::world::{DONE, World};

const NAMES: [&str; 4] = [
    "<script>alert(1)</script>",
    "\"onmouseover=\"alert(1)\"x='y",
    "a\u{202e}b\u{2066}c",
    "</title></h1>&lt;b&gt;{{7}}",
];

#[tokio::test]
async fn names_are_shown_and_obeyed_by_nobody() {
    let world = World::new().await;
    let serve = world.serve().await;
    let long = "é".repeat(2_000);
    for (n, name) in (1..).zip(NAMES.into_iter().chain([long.as_str()])) {
        world.forge.push("quentin/albatros", name, &commit(n + 10));
        let build = world.build_by(&serve, &Delivery::push(name, &commit(n), &commit(n + 10)).sender(name)).await;
        world.nomad.run(&build);
        world.nomad.exit(&build, 0);
        world.all_done(usize::try_from(n).unwrap()).await;
        let shown = page(&serve, &format!("/builds/{build}")).await.text;
        assert!(!shown.contains("<script>alert") && !shown.contains('\u{202e}'), "{name}: {shown}");
        assert!(shown.len() < 200_000, "{}", shown.len());
    }
    page(&serve, "/builds").await;
    for name in NAMES {
        let filter: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
        page(&serve, &format!("/builds?branch={filter}&repo={filter}&sender={filter}&flavor={filter}")).await;
    }
}

#[tokio::test]
async fn a_repository_that_is_no_address_is_no_link() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let (key, mut done) = world.done()[0].clone();
    done["repo"] = "javascript:alert(1)//x/y".into();
    done["ref"] = "refs/heads/a\u{0}b".into();
    done["sender"]["login"] = "\u{7}<img src=x onerror=alert(1)>".into();
    done["params"] = serde_json::json!({"<b>": "\u{202e}x"});
    let key = if key.starts_with(DONE) { key } else { format!("{DONE}{key}") };
    world.consul.put(&key, done.to_string());
    let shown = page(&serve, &format!("/builds/{build}")).await.text;
    assert!(!shown.contains("href=\"javascript"), "{shown}");
    assert_eq!(ask(&serve, &format!("/builds/{build}"), "application/json", None).await.value()["state"], "success");
}
