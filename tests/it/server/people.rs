//! What people may see and do.

use crate::fake::delivery::{Delivery, commit};
use crate::fake::world::{ACTOR, READER, SECRET, World, person};

#[tokio::test]
async fn a_private_build_is_seen_by_its_readers_only() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let push = Delivery::push("main", &commit(1), &commit(2)).private();
    let build = world.build_by(&serve, &push).await;
    world.nomad.run(&build);
    world.nomad.say(&build, "private words");
    world.nomad.exit(&build, 0);
    world.all_done(1).await;

    let page = format!("/builds/{build}");
    let log = format!("/build?job={build}&log=stdout");
    for (path, words) in [("/builds", build.as_str()), (&page, "success"), (&log, "private words")] {
        let stranger = person(&serve, "GET", path, None).await;
        assert!(!stranger.text.contains(words), "{path}: {}", stranger.text);
        let wrong = person(&serve, "GET", path, Some("guessed")).await;
        assert!(!wrong.text.contains(words), "{path}: {}", wrong.text);
        for bearer in [READER, ACTOR] {
            let reader = person(&serve, "GET", path, Some(bearer)).await;
            assert!(reader.status == 200 && reader.text.contains(words), "{path}: {} {}", reader.status, reader.text);
        }
    }
    assert_eq!(person(&serve, "GET", &page, None).await.status, 404);
    let none = person(&serve, "DELETE", "/builds/builder/dispatch-1-00000000", None).await;
    for (bearer, status) in [(None, 404), (Some("guessed"), 404), (Some(READER), 401)] {
        let reply = person(&serve, "DELETE", &page, bearer).await;
        assert_eq!(reply.status, status, "{bearer:?}: {}", reply.text);
        assert_eq!(reply.text == none.text, status == 404, "as if it were not there: {}", reply.text);
    }
    let metrics = person(&serve, "GET", "/metrics", None).await.text;
    assert!(!metrics.contains("quentin"), "{metrics}");

    // The status links with a key that is good for this build alone.
    let link = world.final_status(&commit(2)).target_url;
    let path = link.strip_prefix("https://ci.example").unwrap();
    assert!(path.contains("key="), "{link}");
    assert_eq!(person(&serve, "GET", path, None).await.status, 200);
    let key = path.split("key=").nth(1).unwrap();
    let other = push_other(&world, &serve.url).await;
    assert_eq!(person(&serve, "GET", &format!("/builds/{other}?key={key}"), None).await.status, 404);
}

async fn push_other(world: &World, url: &str) -> String {
    world.forge.push("quentin/albatros", "main", &commit(3));
    let push = Delivery::push("main", &commit(2), &commit(3)).private();
    push.send(url, SECRET).await.text.trim_end().to_owned()
}

#[tokio::test]
async fn who_may_act_cancels() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    let path = format!("/builds/{build}");
    for bearer in [None, Some("guessed"), Some(READER)] {
        let refused = person(&serve, "DELETE", &path, bearer).await;
        assert_eq!(refused.status, 401, "{bearer:?}: {}", refused.text);
    }
    assert_eq!(world.nomad.job(&build)["Stop"], false);
    let cancelled = person(&serve, "DELETE", &path, Some(ACTOR)).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    world.none_open().await;
    assert_eq!(world.nomad.job(&build)["Stop"], true);
    let last = world.final_status(&commit(2));
    assert!(last.state == "failure" && last.description.starts_with("Cancelled"), "{last:?}");
    let again = person(&serve, "DELETE", &path, Some(ACTOR)).await;
    assert_eq!((again.status, again.text.as_str()), (200, "it is over: cancelled\n"));
}

#[tokio::test]
async fn a_script_that_does_not_stop_at_once_is_said_to_be_stopping() {
    let world = World::new().await;
    world.nomad.stubborn(true);
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    let cancelled = person(&serve, "DELETE", &format!("/builds/{build}"), Some(ACTOR)).await;
    assert_eq!(cancelled.status, 202, "{}", cancelled.text);
    let stopping = || world.forge.of(&commit(2)).iter().any(|status| status.description.starts_with("Stopping"));
    world.forge.wait("it is said to be stopping", stopping).await;
    world.nomad.kill(&build);
    world.none_open().await;
    assert!(world.final_status(&commit(2)).description.starts_with("Cancelled"));
}

/// The reason is written first: a build that ends green while it is being cancelled is told as what it was.
#[tokio::test]
async fn a_build_that_ends_green_was_green() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    person(&serve, "DELETE", &format!("/builds/{build}"), Some(ACTOR)).await;
    world.none_open().await;
    assert_eq!(world.final_status(&commit(2)).state, "success");
}

#[tokio::test]
async fn without_tokens_the_hooks_token_does_both() {
    let world = World::new().await;
    let mut config = world.config();
    config.as_object_mut().unwrap().remove("tokens");
    config["hook"]["token"] = "hook-t0ken".into();
    config["private"] = true.into();
    world.put_config(&config);
    let serve = world.serve().await;
    let build = world.build(&serve, "main", &commit(1), &commit(2)).await;
    world.nomad.run(&build);
    let path = format!("/builds/{build}");
    assert_eq!(person(&serve, "GET", &path, None).await.status, 404);
    assert_eq!(person(&serve, "GET", &path, Some("hook-t0ken")).await.status, 200);
    assert_eq!(person(&serve, "DELETE", &path, Some("hook-t0ken")).await.status, 202);
    world.none_open().await;
    assert!(!world.printed().contains("hook-t0ken"));
}

#[tokio::test]
async fn a_stranger_s_trigger_costs_consul_nothing() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.followed().await;
    let reads = || world.consul.wire().seen().iter().filter(|one| one.path.contains("/v1/kv/albatros/")).count();
    let body = serde_json::json!({"repo": crate::fake::delivery::REPO, "ref": "main", "commit": commit(2)});
    let trigger = async |bearer: &str| {
        let request = crate::fake::http::client().post(format!("{}/trigger", serve.url));
        let request = request.header("authorization", format!("Bearer {bearer}")).json(&body);
        crate::fake::http::Reply::read(request.send().await.unwrap()).await
    };
    let before = reads();
    assert_eq!(trigger("guessed").await.status, 401);
    assert_eq!(trigger(READER).await.status, 401);
    assert_eq!(reads(), before);
    assert_eq!(trigger(ACTOR).await.status, 200);
    assert!(reads() > before, "what is acted upon is read consistently");
}

#[tokio::test]
async fn a_build_nobody_has_a_record_of_is_private() {
    let world = World::new().await;
    let serve = world.serve().await;
    let meta =
        serde_json::json!({"REPO_URL": crate::fake::delivery::REPO, "COMMIT": commit(1), "BRANCH": "b", "FLAVOR": "f"});
    let build = world.nomad.dispatch_as_stranger("builder", "", &meta);
    world.nomad.run(&build);
    world.nomad.say(&build, "by hand");
    world.nomad.exit(&build, 0);
    let log = format!("/build?job={build}");
    assert_eq!(person(&serve, "GET", &log, None).await.status, 404);
    let read = person(&serve, "GET", &log, Some(READER)).await;
    assert!(read.text.starts_with("by hand\n"), "{} {}", read.status, read.text);
}
