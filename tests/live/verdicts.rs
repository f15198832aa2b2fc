//! From a push to a verdict: how a build ends is what the commit says.

use crate::fake::delivery::{Delivery, commit};
use crate::fake::serve::Serve;
use crate::story::{ACTOR, INJECT, SECRET, Story, page, person};

const NONE: &str = "0000000000000000000000000000000000000000";

async fn log(serve: &Serve, build: &str, stream: &str) -> String {
    let reply = person(serve, "GET", &format!("/build?job={build}&log={stream}"), None).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_ends_as_its_script_does() {
    let Some(story) = Story::begin("verdicts").await else { return };
    let serve = story.serve().await;
    let (green, red) = (commit(0x11), commit(0x12));
    let built = story.push(&serve, "main", NONE, &green).await;
    let failed = story.push(&serve, "fail", NONE, &red).await;

    let said = log(&serve, &built, "stdout").await;
    let ours = format!("{}\nbuilt {green}\nalbatros: success: Successful in ", INJECT.len());
    assert!(said.contains(&ours) && said.ends_with("s\n"), "{said}");
    assert_eq!(log(&serve, &built, "stdout&raw=1").await, format!("{}\nbuilt {green}\n", INJECT.len()));
    let said = log(&serve, &failed, "stderr").await;
    assert!(said.contains("on both\nalbatros: failure: Failed with exit 3 after "), "{said}");

    let status = story.final_of(&green).await;
    assert!(status.state == "success" && status.description.starts_with("Successful in "), "{status:?}");
    assert_eq!(status.context, "Albatros default");
    assert_eq!(status.target_url, format!("https://ci.example{}", page(&built)));
    let status = story.final_of(&red).await;
    assert!(status.state == "failure" && status.description.starts_with("Failed with exit 3 after "), "{status:?}");

    let done = story.all_done().await;
    let of = |build: &str| done.iter().find(|(_, record)| record["build"] == build).unwrap().1["outcome"].clone();
    assert_eq!(of(&built)["is"], "success");
    assert_eq!(of(&failed)["exit_code"], 3);
    for sha in [&green, &red] {
        story.tell(&format!("{:?}", story.one_final(sha)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_that_is_stopped_says_by_whom() {
    let Some(story) = Story::begin("stops").await else { return };
    let mut config = story.config();
    config["timeout"] = "3s".into();
    story.configure(&config).await;
    let serve = story.serve().await;
    let (cancelled, late) = (commit(0x21), commit(0x22));
    story.push(&serve, "long-late", NONE, &late).await;
    let build = story.push(&serve, "long-cancel", NONE, &cancelled).await;
    let refused = person(&serve, "DELETE", &page(&build), Some("somebody")).await;
    assert_eq!(refused.status, 401, "{}", refused.text);
    let reply = person(&serve, "DELETE", &page(&build), Some(ACTOR)).await;
    assert_eq!(reply.status, 202, "{}", reply.text);

    let status = story.final_of(&cancelled).await;
    assert_eq!((status.state.as_str(), status.description.as_str()), ("failure", "Cancelled by a user"));
    let status = story.final_of(&late).await;
    assert_eq!((status.state.as_str(), status.description.as_str()), ("failure", "Timed out after 3s"));
    let said = log(&serve, &build, "stdout").await;
    assert!(said.ends_with("albatros: cancelled: Cancelled by a user\n"), "{said}");
    assert_eq!(story.all_done().await.len(), 2);
    for child in story.children().await {
        assert_eq!((&child["Stop"], &child["Status"]), (&true.into(), &"dead".into()), "it was stopped");
    }
    for sha in [&cancelled, &late] {
        story.tell(&format!("{:?}", story.one_final(sha)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_builder_that_cannot_be_used_is_told_to_who_pushed() {
    let Some(story) = Story::begin("unusable").await else { return };
    story.register("unusable-more", &[("MORE", r#", "MACHINE""#)]).await;
    story.register("unusable-less", &[(r#", "FLAVOR"MORE]"#, "]")]).await;
    let mut config = story.config();
    config["builders"]["flavors"] =
        serde_json::json!({"none": "no-such-builder", "more": "unusable-more", "less": "unusable-less"});
    story.configure(&config).await;
    let serve = story.serve().await;
    for (n, flavor, words) in [
        (1, "none", "there is no builder `no-such-builder` in namespace `ci`"),
        (2, "more", "MACHINE"),
        (3, "less", "FLAVOR"),
    ] {
        let sha = commit(0x30 + n);
        story.forge.push("quentin/albatros", "main", &sha);
        let reply = Delivery::push("main", NONE, &sha).flavor(flavor).send(&serve.url, SECRET).await;
        assert_eq!(reply.status, 422, "{}", reply.text);
        assert!(reply.text.contains(words), "{}", reply.text);
        let status = story.final_of(&sha).await;
        assert!(status.state == "error" && status.description.contains(words), "{status:?}");
        assert_eq!(status.context, format!("Albatros {flavor}"));
        story.tell(&format!("{status:?}"));
    }
    assert!(story.all_done().await.is_empty(), "what never had a child may be delivered again after the repair");
    assert!(story.children().await.is_empty());
}
