//! Pages for browsers: under the same addresses as the text and the object, valid, and of whatever a build comes to.

mod hostile;
mod kept;
mod private;
mod states;

use super::jobs::{Parent, job};
use crate::fake::delivery::commit;
use crate::fake::http::{Reply, client};
use crate::fake::serve::Serve;
use crate::fake::world::World;
use crate::html::assert_valid;

/// What a browser sends.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn ask(serve: &Serve, path: &str, accept: &str, bearer: Option<&str>) -> Reply {
    let mut request = client().get(format!("{}{path}", serve.url)).header("accept", accept);
    if let Some(bearer) = bearer {
        request = request.bearer_auth(bearer);
    }
    Reply::read(request.send().await.unwrap()).await
}

/// The page, which is valid.
async fn page(serve: &Serve, path: &str) -> Reply {
    page_for(serve, path, None).await
}

async fn page_for(serve: &Serve, path: &str, bearer: Option<&str>) -> Reply {
    let reply = ask(serve, path, BROWSER, bearer).await;
    assert_eq!(reply.headers["content-type"], "text/html; charset=utf-8", "{path}: {}", reply.text);
    let policy = reply.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_valid(&reply.text);
    reply
}

#[tokio::test]
async fn the_same_address_is_a_page_a_text_and_an_object() {
    let world = World::new().await;
    world.set("ALBATROS_NOMAD_UI", "https://nomad.example/ui");
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 3);
    world.all_done(1).await;
    let address = format!("/builds/{build}");

    let shown = page(&serve, &address).await;
    for words in ["Failed with exit 3", "quentin", "main", &commit(2)[..10]] {
        assert!(shown.text.contains(words), "{words}: {}", shown.text);
    }
    let job = build.replace('/', "%2F");
    assert!(shown.text.contains(&format!("https://nomad.example/ui/jobs/{job}@ci")), "{}", shown.text);
    assert!(shown.text.contains(&format!("/commit/{}\"", commit(2))), "{}", shown.text);
    assert!(shown.headers["vary"].to_str().unwrap().contains("accept"));
    let text = ask(&serve, &address, "*/*", None).await;
    assert!(text.text.starts_with(&format!("{build}\nfailure: Failed with exit 3")), "{}", text.text);
    assert_eq!(ask(&serve, &address, "application/json", None).await.value()["state"], "failure");

    let list = page(&serve, "/builds?repo=&branch=main&state=").await;
    assert!(list.text.contains(&format!("href=\"{address}\"")), "{}", list.text);
    assert!(ask(&serve, "/builds", "*/*", None).await.text.starts_with(&build));
    let none = page(&serve, "/builds?branch=other").await;
    assert!(none.text.contains("No build that can be shown matches"), "{}", none.text);
}

#[tokio::test]
async fn who_comes_to_the_door_is_shown_in() {
    let world = World::new().await;
    world.set("ALBATROS_URL", "https://ci.example/under");
    let serve = world.serve().await;
    let browser = ask(&serve, "/", BROWSER, None).await;
    assert_eq!((browser.status, browser.headers["location"].to_str().unwrap()), (303, "/under/builds"));
    let text = ask(&serve, "/", "*/*", None).await;
    assert!(text.status == 200 && text.text.contains("/openapi.json"), "{}", text.text);
    let empty = page(&serve, "/builds").await;
    assert!(
        empty.text.contains("No builds yet") && empty.text.contains("/under/assets/albatros.css"),
        "{}",
        empty.text
    );
    let none = page(&serve, "/builds/builder/dispatch-1-00000000").await;
    assert!(none.status == 404 && none.text.contains("signs in"), "{}", none.text);
    for asset in ["albatros.css", "albatros.js", "icon.svg"] {
        assert_eq!(ask(&serve, &format!("/assets/{asset}"), "*/*", None).await.status, 200, "{asset}");
    }
}

#[tokio::test]
async fn a_build_s_jobs_are_drawn_with_what_they_need() {
    let parent = Parent::new().await;
    let serve = &parent.story.serve;
    let lint = parent.start(&job("lint")).await;
    let mut spec = job("test");
    spec["needs"] = serde_json::json!(["lint"]);
    parent.start(&spec).await;
    parent.wait("it is named", |job| job["build"].is_string()).await;
    let address = format!("/builds/{}", parent.story.build);
    let during = page(serve, &address).await.text;
    assert!(during.contains("data-follow") && during.contains("needs lint"), "{during}");
    assert!(during.contains("<path d=\"M176 22C204 22 204 22 232 22\""), "{during}");
    assert!(during.contains(&format!("href=\"/builds/{lint}\"")), "{during}");
    let own = page(serve, &format!("/builds/{lint}")).await.text;
    assert!(own.contains(&format!("href=\"/builds/claim/{}\"", parent.claim)), "{own}");
}

#[tokio::test]
async fn a_list_leads_to_what_is_older() {
    let world = World::new().await;
    let serve = world.serve().await;
    for n in 1..4 {
        let build = world.build(&serve, "main", &commit(n), &commit(n + 1)).await;
        world.nomad.run(&build);
        world.nomad.exit(&build, 0);
        world.all_done(usize::try_from(n).unwrap()).await;
    }
    let mut path = "/builds?branch=main&limit=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let list = page(&serve, &path).await.text;
        seen.push(list.matches("class=\"page\"").count());
        let Some((before, _)) = list.split_once("\" rel=\"next\"") else { break };
        path = before.rsplit("href=\"").next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
        assert!(path.contains("branch=main") && path.contains("before="), "{path}");
    }
    assert_eq!(seen, [2, 1]);
}
