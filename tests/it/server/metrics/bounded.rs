//! Whatever strangers send, the set of series stays the same.

use std::collections::BTreeSet;

use super::{told, until};
use crate::fake::delivery::commit;
use crate::fake::http::client;
use crate::fake::serve::Serve;
use crate::fake::world::World;

/// What somebody sends who wants to be seen: everything that he can choose holds `word`.
async fn flood(serve: &Serve, word: &str) {
    let paths = [
        "/hook".to_owned(),
        format!("/hook?token={word}&flavor={word}"),
        format!("/{word}"),
        format!("/builds/{word}/dispatch-{word}"),
        format!("/builds/claim/{word}"),
        format!("/build?job={word}&log={word}"),
        format!("/session/{word}/artifacts/{word}"),
        format!("/session/{word}/jobs/{word}"),
        format!("/assets/{word}"),
        format!("/bin/{word}.tar.gz"),
        format!("/metrics?{word}"),
    ];
    let body = format!("{{\"repository\": {{\"clone_url\": \"https://git.example/{word}/{word}.git\"}}}}");
    let odd = word.to_uppercase();
    for path in &paths {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", &odd] {
            for header in ["x-gitea-event", "x-forgejo-event", "x-github-event", "x-other-event"] {
                let request = client().request(method.parse().unwrap(), format!("{}{path}", serve.url));
                let request = request.header(header, word).header("accept", format!("text/{word}, {word}/*"));
                let request = request.header("user-agent", word).bearer_auth(word).body(body.clone());
                request.send().await.unwrap();
            }
        }
    }
}

#[tokio::test]
async fn nobody_can_add_a_series_by_what_he_sends() {
    let world = World::new().await;
    let serve = world.serve().await;
    let mut known: Option<BTreeSet<String>> = None;
    for word in ["oneoddword", "anotheroddword", "thethirdoddword"] {
        flood(&serve, word).await;
        let told = told(&serve).await;
        assert!(told.keys().all(|series| !series.to_lowercase().contains("oddword")), "{told:#?}");
        // What we call by ourselves while this goes on is not theirs.
        let theirs = told.into_keys().filter(|series| !series.starts_with("albatros_request_"));
        let theirs: BTreeSet<String> = theirs.collect();
        assert!(theirs.iter().any(|series| series.contains("route=\"none\"")), "{theirs:#?}");
        assert!(theirs.len() < 1_000, "{}", theirs.len());
        assert_eq!(*known.get_or_insert_with(|| theirs.clone()), theirs);
    }
}

#[tokio::test]
async fn open_builds_are_told_by_the_follower_alone() {
    let world = World::new().await;
    let serve = world.serve().await;
    let other = world.serve().await;
    world.followed().await;
    world.build(&serve, "main", &commit(1), &commit(2)).await;
    let queued = "albatros_builds_open{state=\"queued\"}";
    let follower = tokio::select! {
        first = until(&serve, queued, 1.0) => (first, told(&other).await),
        second = until(&other, queued, 1.0) => (second, told(&serve).await),
    };
    let (follower, idle) = follower;
    assert_eq!((follower["albatros_follower"], idle["albatros_follower"]), (1.0, 0.0));
    assert_eq!(idle[queued], 0.0, "one replica tells it");
}
