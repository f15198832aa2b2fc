//! Entries of organisations and of whole forges: nearest first, each with its own credential; and GitHub.

use super::*;
use crate::fake::fault::{Fault, Times};
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
async fn the_nearest_entry_that_knows_a_job_s_labels_counts_whether_it_is_told_of_or_found() {
    const OWNER: &str = "http://127.0.0.1:3300/quentin";
    let world = world(&pool()).await;
    world.forge.organisation("quentin");
    let mut config = entry(&world, "org-s3cr3t", "of-org");
    config["runners"] = json!([{"labels": ["gpu", LABEL], "builder": "of-org"}]);
    world.consul.put_repo("albatros", OWNER, &config);
    let serve = world.serve().await;
    world.followed().await;
    let told = world.forge.queue(REPO, &["gpu"]);
    assert_eq!(deliver(&serve, &told).await.status, 200, "the repository's secret opens no entry of its owner");
    assert_eq!(Delivery::job(&told).send(&serve.url, "org-s3cr3t").await.status, 202);
    let (_, id) = registered_of(&world, &serve, "of-org").await;
    assert_eq!(world.forge.take_job(id).unwrap().id, told.id);
    // Nobody tells of these.
    world.forge.queue(REPO, &["gpu"]);
    world.forge.queue(REPO, &[LABEL]);
    world.nomad.child("of-org", 2).await;
    world.nomad.child("runner", 1).await;
    until(&world, "each has one", |open| open.len() == 3).await;
    assert_eq!(world.nomad.dispatches(), 3, "what the repository's own entry knows is not its owner's");
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
    assert_eq!(listed[0].group, Some(1), "the group of all that are in no other");
    world.nomad.run(&build);
    let job = world.forge.take_job(listed[0].id).unwrap();
    done(&world, &build, &job);
    world.all_done(1).await;
    assert!(world.forge.runners().is_empty());
}

/// The same entry, of an organisation of GitHub's.
fn at_github(world: &World, builder: &str) -> Value {
    let mut config = entry(world, "org-s3cr3t", builder);
    config["github"] = config["gitea"].take();
    config.as_object_mut().unwrap().remove("gitea");
    config
}

#[tokio::test]
async fn a_group_of_runners_is_found_by_its_name() {
    let world = world(&json!([])).await;
    let mut config = at_github(&world, "of-org");
    config["runners"][0]["group"] = "big".into();
    world.consul.put_repo("albatros", ORGANISATION, &config);
    world.forge.queue("acme/web", &[LABEL]);
    let serve = world.serve().await;
    let build = world.nomad.child("of-org", 1).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    let (reply, ..) = registration(&world, &serve, &build).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(world.forge.runners()[0].group, Some(7));
    config["runners"][0]["group"] = "none".into();
    world.consul.put_repo("albatros", ORGANISATION, &config);
    world.forge.queue("acme/web", &[LABEL]);
    let build = world.nomad.child("of-org", 2).await;
    world.nomad.place(&build);
    named(&world, &build).await;
    let (reply, ..) = registration(&world, &serve, &build).await;
    assert_eq!((reply.status, reply.text.contains("no group of runners `none`")), (422, true), "{}", reply.text);
}

#[tokio::test]
async fn a_repository_that_does_not_answer_is_not_in_the_others_way() {
    let world = world(&json!([])).await;
    world.consul.put_repo("albatros", ORGANISATION, &at_github(&world, "of-org"));
    // Both are of the first few that are asked.
    let mut away = world.forge.faults().arm("GET", "/acme/albatros/actions/runs", Times::All, Fault::Text(502, "away"));
    world.forge.queue("acme/docs", &[LABEL]);
    let serve = world.serve().await;
    let build = world.nomad.child("of-org", 1).await;
    assert_eq!(world.nomad.job(&build)["Meta"]["REPO_URL"], format!("{ORGANISATION}/docs.git"));
    away.hit(1).await;
    drop(serve);
}

#[tokio::test]
async fn a_job_that_nobody_tells_of_is_found_in_any_repository_of_github_s_organisation() {
    let world = world(&json!([])).await;
    world.consul.put_repo("albatros", ORGANISATION, &at_github(&world, "of-org"));
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
