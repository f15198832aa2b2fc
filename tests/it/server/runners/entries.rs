//! Entries of organisations and of whole forges: nearest first, each with its own credential; and GitHub.

use super::*;
use crate::fake::world::FORGE;

const ORGANISATION: &str = "http://127.0.0.1:3300/acme";
const INSTANCE: &str = "http://127.0.0.1:3300";

fn entry(world: &World, secret: &str, builder: &str) -> Value {
    world.nomad.register(&Builder::full(builder));
    json!({
        "hook": {"secret": secret}, "gitea": {"url": world.forge.url(), "token": FORGE},
        "runners": [{"labels": [LABEL], "builder": builder}], "private": false,
    })
}

#[tokio::test]
async fn an_organisation_s_entry_serves_its_repositories_with_its_own_credential() {
    let world = world(&json!([])).await;
    world.forge.organisation("acme");
    world.consul.put_repo("albatros", ORGANISATION, &entry(&world, "org-s3cr3t", "of-org"));
    let serve = world.serve().await;
    world.followed().await;
    let job = world.forge.queue("acme/site", &[LABEL]);
    assert_eq!(deliver(&serve, &job).await.status, 401, "another repository's secret is none");
    assert_eq!(Delivery::job(&job).send(&serve.url, "org-s3cr3t").await.status, 202);
    let (build, id) = registered_of(&world, &serve, "of-org").await;
    assert_eq!(world.forge.runners()[0].scope, "acme");
    assert_eq!(world.nomad.job(&build)["Meta"]["REPO_URL"], "http://127.0.0.1:3300/acme/site.git");
    let job = world.forge.take_job(id).unwrap();
    done(&world, &build, &job);
    world.all_done(1).await;
    assert!(world.forge.runners().is_empty());
}

#[tokio::test]
async fn a_whole_forge_s_entry_serves_what_has_no_nearer_one() {
    let world = world(&pool()).await;
    world.consul.put_repo("albatros", INSTANCE, &entry(&world, "forge-s3cr3t", "of-forge"));
    // Nobody tells of them.
    world.forge.queue("somebody/thing", &[LABEL]);
    world.forge.queue(REPO, &[LABEL]);
    let serve = world.serve().await;
    let (build, id) = registered_of(&world, &serve, "of-forge").await;
    assert_eq!(world.forge.runners().iter().find(|one| one.id == id).unwrap().scope, "");
    let (other, _) = registered(&world, &serve, 1).await;
    assert_eq!(world.nomad.dispatches(), 2, "each job has one runner, by the nearest entry");
    drop((build, other));
}

#[tokio::test]
async fn a_push_to_a_whole_forge_s_entry_is_none() {
    let world = world(&pool()).await;
    world.consul.put_repo("albatros", INSTANCE, &entry(&world, "forge-s3cr3t", "of-forge"));
    let serve = world.serve().await;
    let push = Delivery::push("main", &"1".repeat(40), &"2".repeat(40)).repo(INSTANCE);
    assert_eq!(push.send(&serve.url, "forge-s3cr3t").await.status, 400);
}

#[tokio::test]
async fn github_s_runners_get_a_just_in_time_configuration() {
    let world = World::new().await;
    world.nomad.register(&Builder::full("runner"));
    world.set("ALBATROS_RUNNERS_EVERY", "1s");
    let mut config = world.config();
    config["github"] = config["gitea"].take();
    config.as_object_mut().unwrap().remove("gitea");
    config["runners"] = json!([{"labels": ["gpu"]}]);
    world.put_config(&config);
    world.forge.queue(REPO, &["self-hosted", "linux", "gpu"]);
    let serve = world.serve().await;
    let build = world.nomad.child("runner", 1).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    let (reply, _, _) = registration(&world, &serve, &build).await;
    assert_eq!((reply.status, &reply.value()), (200, &json!({"kind": "github", "jit": "aml0LXMzY3IzdA=="})));
    let listed = world.forge.runners();
    assert_eq!(listed[0].labels, ["gpu", "self-hosted", "linux", "x64"]);
    world.nomad.run(&build);
    let job = world.forge.take_job(listed[0].id).unwrap();
    done(&world, &build, &job);
    world.all_done(1).await;
    assert!(world.forge.runners().is_empty());
}

#[tokio::test]
async fn a_job_that_nobody_tells_of_is_found_in_any_repository_of_github_s_organisation() {
    let world = world(&json!([])).await;
    let mut config = entry(&world, "org-s3cr3t", "of-org");
    config["github"] = config["gitea"].take();
    config.as_object_mut().unwrap().remove("gitea");
    world.consul.put_repo("albatros", ORGANISATION, &config);
    let serve = world.serve().await;
    world.followed().await;
    for repo in ["acme/web", "acme/quiet"] {
        world.forge.queue(repo, &[LABEL]);
    }
    let (first, second) = (world.nomad.child("of-org", 1).await, world.nomad.child("of-org", 2).await);
    let of = |build: &str| world.nomad.job(build)["Meta"]["REPO_URL"].as_str().unwrap().to_owned();
    let mut found = [of(&first), of(&second)];
    found.sort();
    assert_eq!(found, ["quiet", "web"].map(|name| format!("{ORGANISATION}/{name}.git")));
    drop(serve);
}

async fn registered_of(world: &World, serve: &Serve, builder: &str) -> (String, u64) {
    let build = world.nomad.child(builder, 1).await;
    register_build(world, serve, build).await
}
