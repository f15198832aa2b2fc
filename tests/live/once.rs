//! One change is built once, however often and to whomever it is delivered, and again when it comes again.

use std::sync::Arc;

use crate::fake::delivery::{Delivery, commit};
use crate::story::{SECRET, Story, until};

const NONE: &str = "0000000000000000000000000000000000000000";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_that_comes_50_times_to_two_servers_is_one_build() {
    let Some(story) = Story::begin("fifty").await else { return };
    let servers = [Arc::new(story.serve().await), Arc::new(story.serve().await)];
    let sha = commit(0x41);
    let delivery = Arc::new(story.pushed("main", NONE, &sha));
    let all: Vec<_> = (0..50)
        .map(|n| {
            let (serve, delivery) = (Arc::clone(&servers[n % 2]), Arc::clone(&delivery));
            tokio::spawn(async move { delivery.send(&serve.url, SECRET).await })
        })
        .collect();
    let mut answers = Vec::new();
    for one in all {
        let reply = one.await.unwrap();
        assert!([200, 202].contains(&reply.status), "{}: {}", reply.status, reply.text);
        answers.push(reply);
    }
    story.final_of(&sha).await;
    let done = story.all_done().await;
    let children = story.children().await;
    assert_eq!((done.len(), children.len()), (1, 1), "{children:#?}");
    let build = children[0]["ID"].as_str().unwrap();
    let named = answers.iter().filter(|reply| reply.status == 200).count();
    assert!(answers.iter().filter(|reply| reply.status == 200).all(|reply| reply.text.starts_with(build)));
    let status = story.one_final(&sha);
    story.tell(&format!("50 deliveries: {named} times 200 {build}, else 202; 1 child, 1 record; {status:?}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_built_again_when_it_comes_again_and_not_when_it_is_delivered_again() {
    let Some(story) = Story::begin_alone("again").await else { return };
    let serve = story.serve().await;
    let (x, y) = (commit(0x51), commit(0x52));
    let first = story.push(&serve, "main", NONE, &x).await;
    story.final_of(&x).await;
    story.all_done().await;

    // The same delivery, after its end.
    let redelivery = Delivery::push("main", NONE, &x);
    let repeated = redelivery.send(&serve.url, SECRET).await;
    assert_eq!(repeated.status, 200, "{}", repeated.text);
    assert_eq!(repeated.text, format!("{first}\nalready built: success\n"));

    // Back to X by way of Y.
    story.push(&serve, "main", &x, &y).await;
    story.final_of(&y).await;
    let back = story.push(&serve, "main", &y, &x).await;
    assert_ne!(back, first, "X is built again");
    until("a second final status of X", || async { (story.finals(&x).len() == 2).then_some(()) }).await;
    assert_eq!(story.all_done().await.len(), 3);
    assert_eq!(story.children().await.len(), 3);

    // After Nomad has forgotten all of them.
    let gone = || async {
        story.cluster.nomad.call("PUT", "/v1/system/gc", None).await;
        story.children().await.is_empty().then_some(())
    };
    until("Nomad to collect the builds", gone).await;
    let repeated = redelivery.send(&serve.url, SECRET).await;
    assert_eq!(repeated.text, format!("{first}\nalready built: success\n"));
    assert!(story.children().await.is_empty(), "nothing was dispatched");
    story.tell(&format!("after gc: {:?}; X twice, Y once", repeated.text));
}
