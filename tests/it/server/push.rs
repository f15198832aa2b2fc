//! A push becomes a build, and the build's end a status.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::nomad::Builder;
use crate::fake::world::{INJECT, SECRET, World, person};

const ZERO: &str = "0000000000000000000000000000000000000000";

#[tokio::test]
async fn a_push_becomes_a_build_and_its_status() {
    let world = World::new().await;
    let serve = world.serve().await;
    let reply = world.push(&serve, "main", &commit(1), &commit(2)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let build = world.nomad.child("builder", 1).await;
    assert_eq!(reply.text.trim_end(), build, "the answer is the build's id");

    let job = world.nomad.job(&build);
    for (key, value) in [
        ("REPO_URL", REPO),
        ("COMMIT", &commit(2)),
        ("BRANCH", "main"),
        ("FLAVOR", "default"),
        ("REF", "refs/heads/main"),
        ("EVENT", "push"),
        ("SENDER", "quentin"),
        ("TRUSTED", "true"),
    ] {
        assert_eq!(job["Meta"][key], value, "{key}");
    }
    assert_eq!(job["Meta"].as_object().unwrap().len(), 8, "only what the builder declares: {}", job["Meta"]);
    assert_eq!(STANDARD.decode(job["Payload"].as_str().unwrap()).unwrap(), INJECT.as_bytes());

    let pending = world.forge.wait_state(&commit(2), "pending").await;
    assert_eq!(pending.context, "Albatros default");
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let last = world.final_status(&commit(2));
    assert_eq!((last.state.as_str(), last.context.as_str()), ("success", "Albatros default"));
    assert!(last.description.starts_with("Successful"), "{last:?}");
    assert!(last.target_url.starts_with("https://ci.example/builds/builder/dispatch-"), "{last:?}");
}

/// How a build ends.
type End = fn(&World, &str);

#[tokio::test]
async fn every_end_has_its_status() {
    let world = World::new().await;
    world.nomad.register(&Builder::full("prepared").payload("optional"));
    let mut config = world.config();
    config["builders"] = serde_json::json!({"flavors": {"prepared": "prepared"}});
    world.put_config(&config);
    let serve = world.serve().await;
    let ends: [(&str, End, &str, &str); 6] = [
        ("default", |world, build| world.nomad.exit(build, 3), "failure", "Failed with exit 3"),
        ("default", |world, build| world.nomad.oom(build), "failure", "Out of memory"),
        ("default", |world, build| world.nomad.exceed_run_duration(build), "failure", "Timed out"),
        ("default", |world, build| world.nomad.stop_job(build), "failure", "Cancelled"),
        ("default", |world, build| world.nomad.lose(build), "error", ""),
        ("prepared", |world, build| world.nomad.fail_prestart(build), "error", "prepare"),
    ];
    for (n, (flavor, end, state, sentence)) in (10..).zip(ends) {
        world.forge.push("quentin/albatros", "main", &commit(n));
        let push = Delivery::push("main", &commit(1), &commit(n)).flavor(flavor);
        let build = world.build_by(&serve, &push).await;
        if !sentence.contains("prepare") {
            world.nomad.run(&build);
        }
        end(&world, &build);
        world.none_open().await;
        let last = world.final_status(&commit(n));
        assert_eq!(last.state, state, "{last:?}");
        assert!(last.description.contains(sentence), "{last:?}");
        assert_eq!(last.context, format!("Albatros {flavor}"));
    }
}

#[tokio::test]
async fn who_is_not_trusted_gets_no_secrets() {
    let world = World::new().await;
    let serve = world.serve().await;
    world.forge.push("quentin/albatros", "main", &commit(2));
    let reply = Delivery::push("main", &commit(1), &commit(2)).sender("lx").send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let job = world.nomad.job(reply.text.trim_end());
    assert!(job["Payload"].is_null(), "{}", job["Payload"]);
    assert_eq!(job["Meta"]["TRUSTED"], "false");
    // A trusted push of the same change is not used up by it.
    let trusted = Delivery::push("main", &commit(1), &commit(2)).send(&serve.url, SECRET).await;
    assert!(world.nomad.job(trusted.text.trim_end())["Payload"].is_string());
}

#[tokio::test]
async fn a_tag_has_a_context_of_its_own() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut tag = Delivery::recorded("push-tag");
    tag.body["after"] = commit(7).into();
    tag.body["head_commit"]["id"] = commit(7).into();
    world.forge.tag("quentin/albatros", "v0.1", &commit(7));
    let build = world.build_by(&serve, &tag).await;
    assert_eq!(world.nomad.job(&build)["Meta"]["BRANCH"], "v0.1");
    assert_eq!(world.nomad.job(&build)["Meta"]["REF"], "refs/tags/v0.1");
    world.nomad.run(&build);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    assert_eq!(world.final_status(&commit(7)).context, "Albatros default (tag)");
}

#[tokio::test]
async fn a_build_can_be_looked_at_while_it_runs_and_after() {
    let world = World::new().await;
    let serve = world.serve().await;
    let build = world.build(&serve, "main", ZERO, &commit(2)).await;
    world.nomad.run(&build);
    world
        .forge
        .wait("it is said to run", || {
            world.forge.of(&commit(2)).iter().any(|status| status.description.contains("Running"))
        })
        .await;
    let running = person(&serve, "GET", &format!("/builds/{build}"), None).await;
    assert_eq!(running.status, 200, "{}", running.text);
    assert!(running.text.contains("running"), "{}", running.text);
    world.nomad.exit(&build, 0);
    world.all_done(1).await;
    let ended = person(&serve, "GET", &format!("/builds/{build}"), None).await;
    assert!(ended.text.contains("success"), "{}", ended.text);
    world.nomad.purge(&build);
    let collected = person(&serve, "GET", &format!("/builds/{build}"), None).await;
    assert!(collected.text.contains("success"), "known from its record: {}", collected.text);
    let listed = person(&serve, "GET", "/builds", None).await;
    assert!(listed.text.contains(&build), "{}", listed.text);
    for path in ["/healthz", "/readyz", "/version", "/metrics"] {
        let reply = person(&serve, "GET", path, None).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
    }
}
