//! What others do in Nomad: children that are not ours, builds without room, builders and builds that are taken away.

use serde_json::json;

use crate::fake::delivery::{REPO, commit};
use crate::fake::fault::{Fault, Times};
use crate::relay::Relay;
use crate::story::{SECRET, Story, until};

const NONE: &str = "0000000000000000000000000000000000000000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_of_somebody_else_with_our_token_is_refused() {
    let Some(story) = Story::begin("foreign").await else { return };
    let nomad = Relay::to(&story.cluster.nomad.url()).await;
    let serve = story.serve_with(&[("NOMAD_ADDR", &nomad.url())]).await;
    let sha = commit(0x91);
    // Nomad cannot be reached for the dispatch, and somebody who can read our records is quicker.
    nomad.wire.faults().arm("POST", "/dispatch", Times::All, Fault::Text(500, "No cluster leader"));
    let reply = story.pushed("main", NONE, &sha).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let claim = story.records("open").await[0].0.clone();
    let meta = json!({"REPO_URL": REPO, "COMMIT": commit(0xbad), "BRANCH": "main", "FLAVOR": "default"});
    let child = story.cluster.nomad.dispatch(&story.name, &claim, &meta, "").await;
    nomad.wire.faults().clear();

    let status = story.final_of(&sha).await;
    assert_eq!(status.state, "error", "{status:?}");
    assert!(!status.target_url.contains(child.rsplit('/').next().unwrap()), "it is not ours: {status:?}");
    assert!(story.all_done().await.is_empty());
    assert_eq!(story.children().await.len(), 1, "nothing else was dispatched");
    story.tell(&format!("{:?}", story.one_final(&sha)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_without_room_ends_when_its_time_in_the_queue_is_over() {
    let Some(story) = Story::begin("no-room").await else { return };
    story.register("no-room", &[("CPU", "9000000")]).await;
    let serve = story.serve_with(&[("ALBATROS_QUEUE_LIMIT", "4s")]).await;
    let sha = commit(0x92);
    story.push(&serve, "main", NONE, &sha).await;
    let status = story.final_of(&sha).await;
    assert_eq!(status.state, "error", "{status:?}");
    let done = story.all_done().await;
    assert_eq!(done.len(), 1);
    let child = &story.children().await[0];
    assert_eq!(child["Stop"], true, "it was deregistered first");
    let said: Vec<String> = story.forge.of(&sha).into_iter().map(|status| status.description).collect();
    assert_eq!(story.one_final(&sha).state, "error");
    story.tell(&format!("{said:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_builder_that_is_stopped_ends_no_build_and_takes_no_other() {
    let Some(story) = Story::begin("parent").await else { return };
    let serve = story.serve().await;
    let (running, late) = (commit(0x93), commit(0x94));
    story.push(&serve, "gate", NONE, &running).await;
    let runs = || story.forge.of(&running).iter().any(|status| status.description == "Running");
    story.forge.wait("the build to run", runs).await;
    story.cluster.nomad.stop(&story.name, false).await;
    let reply = story.pushed("late", NONE, &late).send(&serve.url, SECRET).await;
    let status = story.final_of(&late).await;
    assert!([202, 422].contains(&reply.status), "{}", reply.text);
    assert_eq!(status.state, "error", "{status:?}");
    story.open_gate("gate");
    assert_eq!(story.final_of(&running).await.state, "success");
    assert_eq!(story.all_done().await.len(), 1);
    story.tell(&format!("{:?}; then {:?}", story.one_final(&running).description, story.one_final(&late).description));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_purged_by_hand_is_an_error() {
    let Some(story) = Story::begin("purged").await else { return };
    let serve = story.serve().await;
    let sha = commit(0x95);
    let build = story.push(&serve, "long", NONE, &sha).await;
    let runs = || story.forge.of(&sha).iter().any(|status| status.description == "Running");
    story.forge.wait("the build to run", runs).await;
    story.cluster.nomad.stop(&build, true).await;
    let status = story.final_of(&sha).await;
    assert_eq!((status.state.as_str(), status.description.as_str()), ("error", "Nomad no longer knows this build"));
    assert_eq!(story.all_done().await[0].1["outcome"]["is"], "expired");
    story.one_final(&sha);
    // Delivered again it is known, and not run a second time.
    let again = story.pushed("long", NONE, &sha).send(&serve.url, SECRET).await;
    assert!(again.text.contains("already built: expired"), "{}", again.text);
    until("no child", || async { story.children().await.is_empty().then_some(()) }).await;
    story.tell(&format!("{status:?}; {:?}", again.text));
}
