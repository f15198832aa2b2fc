//! Whose turn it is, on real servers: never more than the limit, across a kill; a newer change takes an older one's place.

use serde_json::json;

use crate::fake::delivery::commit;
use crate::fake::serve::Serve;
use crate::story::{ACTOR, SECRET, Story, person, until};

const NONE: &str = "0000000000000000000000000000000000000000";

/// Pushed to a branch of its own, where its build waits until the gate is opened.
async fn pushed(story: &Story, serve: &Serve, branch: &str, before: &str, after: &str) -> String {
    let reply = story.pushed(branch, before, after).send(&serve.url, SECRET).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    assert!(reply.text.contains("waiting for its turn"), "{}", reply.text);
    reply.text.lines().next().unwrap().rsplit('/').next().unwrap().to_owned()
}

async fn configure(story: &Story, concurrency: serde_json::Value) {
    let mut config = story.config();
    config["concurrency"] = concurrency;
    // Handing over secrets asks the forge as well; that is another story's.
    config.as_object_mut().unwrap().remove("inject");
    story.configure(&config).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_when_the_follower_is_killed() {
    let Some(story) = Story::begin("limit").await else { return };
    configure(&story, json!({"max": 2})).await;
    let first = story.serve().await;
    let holder = story.followed(None).await;
    let second = story.serve().await;
    let mut claims = Vec::new();
    for n in 1..=4 {
        let serve = if n % 2 == 0 { &first } else { &second };
        claims.push(pushed(&story, serve, &format!("gate-{n}"), NONE, &commit(0x9100 + n)).await);
    }
    until("two builds", || async { (story.children().await.len() == 2).then_some(()) }).await;
    let why = person(&second, "GET", &format!("/builds/claim/{}", claims[3]), Some(ACTOR)).await.text;
    assert!(why.contains("2 of 2 builds of this repository are under way, 1 change is before it"), "{why}");
    first.kill().await;
    story.followed(Some(&holder)).await;
    for n in 1..=4 {
        let begun = story.children().await.len();
        assert!(begun <= usize::try_from(n).unwrap() + 1, "{begun} builds when {} have ended", n - 1);
        story.open_gate(&format!("gate-{n}"));
        assert_eq!(story.final_of(&commit(0x9100 + n)).await.state, "success");
    }
    assert_eq!(story.all_done().await.len(), 4);
    assert_eq!(story.children().await.len(), 4);
    for n in 1..=4 {
        story.one_final(&commit(0x9100 + n));
    }
    story.tell(&format!("4 changes, 2 at a time, the follower killed meanwhile; the last was told: {why:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_change_takes_the_place_of_a_running_one() {
    let Some(story) = Story::begin("newer").await else { return };
    configure(&story, json!({"supersede": true})).await;
    let serve = story.serve().await;
    let (old, new) = (commit(0x9201), commit(0x9202));
    pushed(&story, &serve, "gate-newer", NONE, &old).await;
    let runs = || async { story.forge.of(&old).iter().any(|one| one.description == "Running").then_some(()) };
    until("the older one runs", runs).await;
    pushed(&story, &serve, "gate-newer", &old, &new).await;
    let last = story.final_of(&old).await;
    assert_eq!(
        (last.state.as_str(), last.description),
        ("failure", format!("Cancelled by a newer change ({})", &new[..8]))
    );
    story.open_gate("gate-newer");
    assert_eq!(story.final_of(&new).await.state, "success");
    story.all_done().await;
    story.tell(&format!("{:?}", story.one_final(&old)));
}
