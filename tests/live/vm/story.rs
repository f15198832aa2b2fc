//! Builds in microVMs as Nomad runs them: the shipped builder, real servers, one machine after the other.

use rustix::process::Signal;
use serde_json::Value;

use super::node::{Node, kill};
use crate::fake::http::client;
use crate::group::{Driver, Group};
use crate::story::{ACTOR, INJECT, page, person};

const GREEN: &str = "#!/bin/sh
set -eu
echo \"parameter of $(albatros param DEPLOY_KEY | wc -c) bytes as user $(id -u) on $(ls /sys/class/net)\"
printf 'made in a machine' >made
albatros artifact put now made
albatros artifact put later made --at-end
echo 'All is well' | albatros report --summary -
";
const RED: &str = "#!/bin/sh\necho wrong\nexit 6\n";
const KILLS: &str = "#!/bin/sh\necho begun\nkill -9 $PPID\nsleep 600\n";
const WAITS: &str = "#!/bin/sh\necho begun\nwhile :; do sleep 1; done\n";
/// Longer than a machine needs to boot, however slow this one is.
const TIMEOUT: &str = "75s";

/// A group whose builder is the one for microVMs, on a node with its image.
async fn begin(name: &str, scripts: &[(&str, &str)]) -> Option<(Node, Group)> {
    let node = Node::begin(&format!("vm: {name}")).await?;
    let group = Group::begin(name, Driver::RawExec, scripts).await?;
    let hcl = include_str!("../../../hcl/microvm.hcl");
    let hcl = hcl.replace("job \"builder\"", &format!("job \"{}\"", group.story.name));
    let (store, program) = (node.store(), node.program());
    let answers = [
        ("albatros", program.to_str().unwrap()),
        ("store", store.to_str().unwrap()),
        ("image", super::node::IMAGE),
        ("pull", "never"),
        ("accel", "tcg"),
        ("machine_disk", "512M"),
        ("memory", "512"),
    ];
    group.register_file(&hcl, &answers).await;
    Some((node, group))
}

/// Who is on the way from Nomad to a script.
const VICTIMS: [&str; 4] = ["executor", "machine", "controller", "sidecar"];

/// A signal for all processes of a build's task, or for its machine.
async fn send(node: &Node, group: &Group, (build, victim): (&str, &str), signal: Signal) {
    let machines = node.machines();
    let pids = match victim {
        "machine" => machines.clone(),
        // The machine's own process has the task's environment or none: it is not who is meant.
        task => processes(group, build, task).await.into_iter().filter(|pid| !machines.contains(pid)).collect(),
    };
    assert!(!pids.is_empty(), "{victim}: {}", group.all_printed(build).await);
    pids.into_iter().for_each(|pid| kill(pid, signal));
}

/// The processes of a task of a build, as the node sees them.
async fn processes(group: &Group, build: &str, task: &str) -> Vec<i32> {
    let allocation = group.story.cluster.nomad.allocation(build).await;
    let id = format!("NOMAD_ALLOC_ID={}", allocation["ID"].as_str().unwrap());
    let task = format!("NOMAD_TASK_NAME={task}");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = all.filter_map(|process| process.file_name().to_str()?.parse::<i32>().ok());
    let its = pids.filter(|pid| {
        let environ = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let has = |what: &str| environ.split(|byte| *byte == 0).any(|one| one == what.as_bytes());
        has(&id) && has(&task)
    });
    its.collect()
}

async fn artifact(group: &Group, build: &str, name: &str) -> Vec<u8> {
    let at = format!("{}{}/artifacts/{name}", group.server().url, page(build));
    client().get(at).send().await.unwrap().bytes().await.unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nomad_a_machine_has_parameters_and_leaves_artifacts_without_a_network() {
    let Some((node, group)) = begin("machine", &[("green", GREEN), ("red", RED)]).await else { return };
    let build = group.push("green").await;
    let verdict = group.verdict("green").await;
    assert!(verdict.starts_with("success: Successful in "), "{verdict}\n{}", group.all_printed(&build).await);
    let said = person(group.server(), "GET", &format!("/build?job={build}&raw=1"), None).await.text;
    let secret = INJECT.split_once('=').unwrap().1;
    let expected = format!("parameter of {} bytes as user 1000 on lo\n", secret.len());
    assert!(said.starts_with(&expected), "{said}");
    for name in ["now", "later"] {
        let kept = artifact(&group, &build, name).await;
        assert_eq!(kept, b"made in a machine", "{name}: {}", group.all_printed(&build).await);
    }
    let shown = person(group.server(), "GET", &page(&build), None).await.text;
    assert!(shown.contains("All is well"), "{shown}");
    node.nothing_is_left().await;

    let build = group.push("red").await;
    let verdict = group.verdict("red").await;
    assert!(verdict.starts_with("failure: Failed with exit 6"), "{verdict}\n{}", group.all_printed(&build).await);
    node.nothing_is_left().await;
    group.story.all_done().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nomad_a_machine_is_cancelled_and_timed_out() {
    let Some((node, group)) = begin("machine-stops", &[("cancel", WAITS), ("late", WAITS)]).await else { return };
    let build = group.push("cancel").await;
    group.printed_with(&build, "begun\n").await;
    let reply = person(group.server(), "DELETE", &page(&build), Some(ACTOR)).await;
    assert_eq!(reply.status, 202, "{}", reply.text);
    let verdict = group.verdict("cancel").await;
    assert!(verdict.starts_with("failure: Cancelled"), "{verdict}\n{}", group.all_printed(&build).await);
    node.nothing_is_left().await;

    let mut config = group.story.config();
    config["timeout"] = TIMEOUT.into();
    group.story.configure_at(&group.git.url(), &config).await;
    let build = group.push("late").await;
    let verdict = group.verdict("late").await;
    assert!(verdict.starts_with("failure: Timed out after "), "{verdict}\n{}", group.all_printed(&build).await);
    node.nothing_is_left().await;
    group.story.all_done().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nomad_whatever_is_killed_the_build_is_nobodys_failure() {
    let scripts = VICTIMS.map(|victim| (victim, WAITS));
    let scripts: Vec<_> = scripts.into_iter().chain([("guest", KILLS), ("green", GREEN)]).collect();
    let Some((node, group)) = begin("machine-killed", &scripts).await else { return };
    for victim in VICTIMS.into_iter().chain(["guest"]) {
        let build = group.push(victim).await;
        group.printed_with(&build, "begun\n").await;
        if victim != "guest" {
            send(&node, &group, (&build, victim), Signal::KILL).await;
        }
        let verdict = group.verdict(victim).await;
        assert!(verdict.starts_with("error: "), "{victim}: {verdict}\n{}", group.all_printed(&build).await);
        let record = outcome(&group, victim).await;
        assert!(record.to_string().contains("infra"), "{victim}: {record}");
        group.story.tell(&format!("kill -9 of {victim}: {verdict}"));
    }
    let build = group.push("green").await;
    let verdict = group.verdict("green").await;
    assert!(verdict.starts_with("success: Successful in "), "{verdict}\n{}", group.all_printed(&build).await);
    node.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nomad_whoever_is_told_to_end_the_machine_ends() {
    let scripts = VICTIMS.map(|victim| (victim, WAITS));
    let Some((node, group)) = begin("machine-told", &scripts).await else { return };
    for victim in VICTIMS {
        let build = group.push(victim).await;
        group.printed_with(&build, "begun\n").await;
        send(&node, &group, (&build, victim), Signal::TERM).await;
        let verdict = group.verdict(victim).await;
        assert!(!verdict.starts_with("success: "), "{victim}: {verdict}\n{}", group.all_printed(&build).await);
        node.nothing_is_left().await;
        group.story.tell(&format!("TERM to {victim}: {verdict}"));
    }
    group.story.all_done().await;
}

/// What the record says of a branch's build.
async fn outcome(group: &Group, branch: &str) -> Value {
    let claim = group.claim(branch).await;
    let done = group.story.all_done().await;
    done.into_iter().find(|(known, _)| *known == claim).unwrap().1["outcome"].clone()
}
