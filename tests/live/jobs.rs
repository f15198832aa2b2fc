//! Jobs on real servers: what a build starts beside itself, as the shipped job files run it.

use serde_json::json;

use crate::fake::http::Reply;
use crate::group::{Driver, Group};
use crate::story::{INJECT, person, until};
use crate::tree;

/// Starts the job that lies in `job.json`, and ends as it does; leaves what it was told of it.
const STARTS: &str = r#"#!/bin/sh
set -eu
ask() { path=$1; shift; curl -sS --unix-socket "${ALBATROS_API#unix:}" -H "Authorization: Bearer $ALBATROS_TOKEN" "$@" "http://albatros$path"; }
touch ../data/ready
while [ ! -e ../data/job.json ]; do sleep 0.1; done
ask /v1/jobs -H 'Content-Type: application/json' --data-binary @../data/job.json
echo
while :; do
    job=$(ask '/v1/jobs/test?wait=20s')
    case $job in *'"ended":true'*) break ;; esac
done
echo "told: $job"
ask '/v1/jobs/test/log?raw=1'
case $job in *'"state":"success"'*) ;; *) exit 6 ;; esac
"#;
/// Starts it, and is over before it is.
const LEAVES: &str = r#"#!/bin/sh
set -eu
ask() { path=$1; shift; curl -sS --unix-socket "${ALBATROS_API#unix:}" -H "Authorization: Bearer $ALBATROS_TOKEN" "$@" "http://albatros$path"; }
ask /v1/jobs -H 'Content-Type: application/json' -d '{"name":"long","command":["sleep","600"]}'
while :; do
    case $(ask '/v1/jobs/long?wait=20s') in *'"state":"running"'*) break ;; esac
done
"#;

/// Starts a service and talks to it on its own loopback, which is all the network there is; then a job beside it.
const TALKS: &str = r#"#!/bin/sh
set -eu
albatros job start git --service --port 7007 -- sh -c '
    git init -q r
    git -C r -c user.name=a -c user.email=a@example.org commit -q --allow-empty -m one
    exec git daemon --reuseaddr --listen=127.0.0.1 --port=7007 --base-path="$PWD" --export-all'
for number in 1 2 3; do
    git ls-remote git://127.0.0.1:7007/r HEAD | { read -r sha name; echo "$number: ${#sha} $name"; }
done
albatros job run child -- sh -c 'echo "in the child $ALBATROS_JOB"; exit 7' || echo "the child ended with $?"
albatros job list
"#;

/// A group whose builds may start jobs, of the job file for its driver.
async fn group(name: &str, driver: Driver) -> Option<Group> {
    let group = Group::begin(name, driver, &[("starts", STARTS), ("leaves", LEAVES), ("talks", TALKS)]).await?;
    let jobs = format!("{}-jobs", group.story.name);
    let named = |file: &str, own: &str| file.replace(&format!("job \"{own}\""), &format!("job \"{jobs}\""));
    match driver {
        Driver::Docker => group.register_file(&named(include_str!("../../hcl/container.hcl"), "container"), &[]).await,
        Driver::Exec | Driver::RawExec => {
            let file = named(include_str!("../../hcl/exec.hcl"), "builder");
            group.register_file(&file, &[("services", "true")]).await;
        }
    }
    let mut config = group.story.config();
    config["builders"]["jobs"] = jobs.into();
    group.story.configure_at(&group.git.url(), &config).await;
    Some(group)
}

/// The end of a branch's job, once it is settled.
async fn job_of(group: &Group, branch: &str) -> serde_json::Value {
    let sha = group.git.commit_of(branch);
    let settled = || async {
        let done = group.story.records("done").await.into_iter().map(|(_, done)| done);
        done.into_iter().find(|done| done["commit"] == sha.as_str() && !done["parent"].is_null())
    };
    until(&format!("{}: the end of the job of {branch}", group.story.name), settled).await
}

async fn a_job_runs_as_told_on(driver: Driver) {
    let Some(group) = group("jobs", driver).await else { return };
    let build = group.push("starts").await;
    let room = group.left(&build, "ready").await;
    let mut job = json!({
        "name": "test", "params": ["DEPLOY_KEY"], "env": {"WORD": "a word"},
        "command": ["sh", "-c", "echo \"user $(id -u), $WORD, $(albatros param DEPLOY_KEY | wc -c) bytes\"; ls -A"],
    });
    if driver == Driver::Docker {
        job["image"] = tree::USER.into();
    }
    let half = room.with_file_name("job.half");
    std::fs::write(&half, job.to_string()).unwrap();
    std::fs::rename(half, room.with_file_name("job.json")).unwrap();
    let verdict = group.verdict("starts").await;
    assert!(verdict.starts_with("success: Successful in "), "{verdict}\n{}", group.all_printed(&build).await);
    let log: Reply = person(group.server(), "GET", &format!("/build?job={build}&raw=1"), None).await;
    let secret = INJECT.split_once('=').unwrap().1;
    assert!(log.text.contains(&format!("a word, {} bytes", secret.len())), "{}", log.text);
    if driver == Driver::Docker {
        assert!(log.text.contains("user 1234, "), "its own image: {}", log.text);
    }
    assert!(log.text.contains(".albatros"), "a checkout of the commit: {}", log.text);
    group.holds_no_secret("the log", &log.text);
    assert_eq!(job_of(&group, "starts").await["outcome"]["is"], "success");
    for (name, record) in group.story.records("done").await {
        group.holds_no_secret(&name, &record.to_string());
    }
}

async fn a_job_ends_with_its_build_on(driver: Driver) {
    let Some(group) = group("orphan", driver).await else { return };
    let build = group.push("leaves").await;
    let verdict = group.verdict("leaves").await;
    assert!(verdict.starts_with("success: "), "{verdict}\n{}", group.all_printed(&build).await);
    let job = job_of(&group, "leaves").await;
    assert_eq!(job["outcome"]["is"], "cancelled", "{job}");
    let allocation = group.story.cluster.nomad.allocation(job["build"].as_str().unwrap()).await;
    assert_eq!(allocation["TaskStates"]["executor"]["State"], "dead", "{allocation}");
}

async fn a_script_talks_to_its_service_on(driver: Driver) {
    let Some(group) = group("service", driver).await else { return };
    let build = group.push("talks").await;
    let verdict = group.verdict("talks").await;
    assert!(verdict.starts_with("success: "), "{verdict}\n{}", group.all_printed(&build).await);
    let log: Reply = person(group.server(), "GET", &format!("/build?job={build}&raw=1"), None).await;
    let talked = "127.0.0.1:7007\n1: 40 HEAD\n2: 40 HEAD\n3: 40 HEAD\nin the child child\nthe child ended with 7\n";
    assert!(log.text.starts_with(talked), "{}", log.text);
    assert!(log.text.contains("git    ready\n"), "{}", log.text);
}

#[tokio::test]
async fn a_script_talks_to_its_service_with_docker() {
    a_script_talks_to_its_service_on(Driver::Docker).await;
}

#[tokio::test]
async fn a_script_talks_to_its_service_with_exec() {
    a_script_talks_to_its_service_on(Driver::Exec).await;
}

#[tokio::test]
async fn a_job_runs_as_told_with_docker() {
    a_job_runs_as_told_on(Driver::Docker).await;
}

#[tokio::test]
async fn a_job_runs_as_told_with_exec() {
    a_job_runs_as_told_on(Driver::Exec).await;
}

#[tokio::test]
async fn a_job_ends_with_its_build_with_docker() {
    a_job_ends_with_its_build_on(Driver::Docker).await;
}

#[tokio::test]
async fn a_job_ends_with_its_build_with_exec() {
    a_job_ends_with_its_build_on(Driver::Exec).await;
}
