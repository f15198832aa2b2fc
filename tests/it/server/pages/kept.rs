//! A build that Nomad and Consul have forgotten.

use super::super::session::{Story, secret};
use super::page;
use crate::fake::delivery::{Delivery, commit};

#[tokio::test]
async fn a_forgotten_build_is_shown_from_the_store() {
    let store = tempfile::tempdir().unwrap();
    let setting = format!("file://{}", store.path().display());
    let push = Delivery::push("main", &commit(1), &commit(2));
    let story = Story::with(&push, |_| {}, |world| world.set("ALBATROS_STORE", &setting)).await;
    assert_eq!(story.exchange(&secret()).await.status, 200);
    let (world, build, claim) = (&story.world, &story.build, story.claim());
    world.nomad.run(build);
    world.nomad.exit(build, 3);
    world.all_done(1).await;
    world.consul.wait("albatros-builds/", "it is kept", |_| world.done()[0].1["kept"] == true).await;
    world.nomad.purge(build);
    for (key, _) in world.consul.list("albatros-builds/").iter().filter(|(key, _)| key.contains(&claim)) {
        world.consul.remove(key);
    }
    for address in [format!("/builds/{build}"), format!("/builds/claim/{claim}")] {
        let shown = page(&story.serve, &address).await;
        assert!(shown.status == 200 && shown.text.contains("Failed with exit 3"), "{address}: {}", shown.text);
    }
    assert!(page(&story.serve, "/builds").await.text.contains(build.as_str()));
}
