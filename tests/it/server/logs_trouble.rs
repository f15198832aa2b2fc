//! Logs while Nomad is in trouble.

use futures_util::StreamExt as _;
use futures_util::future::join_all;

use crate::fake::delivery::commit;
use crate::fake::fault::{Fault, Times};
use crate::fake::http::{client, send};
use crate::fake::world::World;

#[tokio::test]
async fn they_come_whole_in_the_end() {
    let world = World::new().await;
    let serve = world.serve().await;
    let faults = [
        Fault::Text(500, "rpc error: No cluster leader"),
        Fault::Html(502),
        Fault::TooMany,
        Fault::CutBefore,
        Fault::CutAfter,
    ];
    let mut builds = Vec::new();
    for (n, fault) in (10..).zip(faults) {
        let build = world.build(&serve, "main", &commit(1), &commit(n)).await;
        world.nomad.run(&build);
        world.nomad.say(&build, "one");
        world.nomad.say(&build, "two");
        let allocation = world.nomad.allocation(&build);
        world.nomad.faults().arm("GET", &format!("/logs/{allocation}"), Times::Next(2), fault);
        builds.push((build, fault));
    }
    let read = builds.iter().map(async |(build, fault)| {
        let answer = client().get(format!("{}/build?job={build}", serve.url)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{fault:?}");
        let mut stream = answer.bytes_stream();
        let mut text = Vec::new();
        while !text.ends_with(b"two\n") {
            text.extend_from_slice(&stream.next().await.unwrap().unwrap());
        }
        world.nomad.exit(build, 0);
        while let Some(chunk) = stream.next().await {
            text.extend_from_slice(&chunk.unwrap());
        }
        (String::from_utf8(text).unwrap(), *fault)
    });
    for (text, fault) in join_all(read).await {
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with("albatros:")).collect();
        assert_eq!(lines, ["one", "two"], "{fault:?}: {text}");
        assert!(text.lines().last().unwrap().starts_with("albatros: success"), "{fault:?}: {text}");
    }
}

/// An agent takes 100 connections from one address; the server keeps clear of that.
#[tokio::test]
async fn more_logs_than_the_agent_can_bear_are_refused_in_time() {
    let world = World::new().await;
    let serve = world.serve().await;
    let meta =
        serde_json::json!({"REPO_URL": crate::fake::delivery::REPO, "COMMIT": commit(1), "BRANCH": "b", "FLAVOR": "f"});
    let builds: Vec<_> = (0..70)
        .map(|_| {
            let build = world.nomad.dispatch_as_stranger("builder", &crate::fake::hex(8), &meta);
            world.nomad.run(&build);
            world.nomad.say(&build, "here");
            build
        })
        .collect();
    world.nomad.wire().limit_connections(100);
    let one = client();
    let opened = join_all(builds.iter().map(|build| {
        let url = format!("{}/build?job={build}", serve.url);
        one.get(url).header("authorization", format!("Bearer {}", crate::fake::world::READER)).send()
    }))
    .await;
    let answers: Vec<_> = opened.into_iter().map(Result::unwrap).collect();
    let busy = answers.iter().filter(|answer| answer.status() == 503).count();
    let read = answers.iter().filter(|answer| answer.status() == 200).count();
    assert_eq!((read, busy), (60, 10));
    assert!(world.nomad.wire().open_connections() < 100, "{}", world.nomad.wire().open_connections());
    let push = world.push(&serve, "main", &commit(1), &commit(2)).await;
    assert_eq!(push.status, 200, "calls are on their own: {}", push.text);
    let refused = builds.iter().zip(&answers).find(|(_, answer)| answer.status() == 503).unwrap().0;
    let page = one
        .get(format!("{}/builds/{refused}/log", serve.url))
        .header("accept", "text/html")
        .header("authorization", format!("Bearer {}", crate::fake::world::READER));
    let page = page.send().await.unwrap();
    assert_eq!(page.status(), 503);
    let page = page.text().await.unwrap();
    assert!(page.contains("data-log="), "its page goes on once there is room: {page}");
    drop(answers);
    for build in builds {
        world.nomad.exit(&build, 0);
    }
    let reply = send(&serve.url, "GET", "/healthz", None).await;
    assert_eq!(reply.status, 200);
}
