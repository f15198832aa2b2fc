//! A log that outlives Nomad's memory of its build, though the server was gone while it was written.

use std::time::Duration;

use crate::group::{Driver, Group};
use crate::story::{person, until};

/// Prints its secret, and lines until it is told to end.
const CHATTY: &str = r#"#!/bin/sh
echo "secret: $(albatros param DEPLOY_KEY)"
sleep 1
echo "a complaint" >&2
sleep 1
touch ../data/ready
n=0
while [ ! -e ../data/go ]; do
    n=$((n + 1))
    echo "line $n"
    sleep 0.1
done
touch ../data/gone
while [ ! -e ../data/end ]; do
    n=$((n + 1))
    echo "line $n"
    sleep 0.1
done
echo "last $n"
"#;
/// How long the server is gone.
const GONE: Duration = Duration::from_secs(5);

async fn archived_on(driver: Driver) {
    let Some(mut group) = Group::begin("archive", driver, &[("chatty", CHATTY)]).await else { return };
    let build = group.push("chatty").await;
    group.left(&build, "ready").await;
    group.serve.take().unwrap().kill().await;
    group.tell_script(&build, "go").await;
    group.left(&build, "gone").await;
    tokio::time::sleep(GONE).await;
    group.start().await;
    group.tell_script(&build, "end").await;
    let verdict = group.verdict("chatty").await;
    assert!(verdict.starts_with("success: "), "{verdict}\n{}", group.all_printed(&build).await);
    group.story.all_done().await;
    let nomad = &group.story.cluster.nomad;
    let over = || async { (nomad.allocation(&build).await["ClientStatus"] == "complete").then_some(()) };
    until("the end of all tasks", over).await;
    nomad.stop(&build, true).await;
    let gone = || async { nomad.children(&group.story.name).await.is_empty().then_some(()) };
    until("Nomad to forget the build", gone).await;

    let log = person(group.server(), "GET", &format!("/build?job={build}&raw=1"), None).await;
    group.holds_no_secret("the archive", &log.text);
    let lines: Vec<&str> = log.text.lines().collect();
    assert_eq!((log.status, lines[0]), (200, "secret: ***"), "{}", log.text);
    let count = lines.len() - 2;
    for (n, line) in lines[1..=count].iter().enumerate() {
        assert_eq!(*line, format!("line {}", n + 1), "each line once, in its place");
    }
    assert_eq!(lines[count + 1], format!("last {count}"));
    let both = person(group.server(), "GET", &format!("/build?job={build}&log=both&raw=1"), None).await;
    let place = |line: &str| both.text.lines().position(|one| one == line);
    let places = [place("out | secret: ***"), place("err | a complaint"), place("out | line 1")];
    assert!(places.is_sorted() && places[0].is_some(), "{} {}", both.status, both.text);
    let stdout: Vec<&str> = both.text.lines().filter_map(|line| line.strip_prefix("out | ")).collect();
    assert_eq!(stdout, lines);
    group.story.tell(&format!("{count} lines, also those of {GONE:?} without a server, from the archive"));
}

#[tokio::test]
async fn a_log_outlives_its_build_on_raw_exec() {
    archived_on(Driver::RawExec).await;
}

#[tokio::test]
async fn a_log_outlives_its_build_on_exec() {
    archived_on(Driver::Exec).await;
}

#[tokio::test]
async fn a_log_outlives_its_build_on_docker() {
    archived_on(Driver::Docker).await;
}
