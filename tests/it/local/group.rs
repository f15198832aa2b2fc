//! The tasks of a build beside its script: how they fail, and that none of them outlives it.

use std::time::Duration;

use albatros::domain::id::BuildId;
use albatros::domain::outcome::{Outcome, Verdict};
use albatros::engine::{LogStream, Order};
use rustix::process::{Signal, kill_process};

use super::{LONG, Machine, failed_with, is_gone, pid, text};

/// In a script: the process of a task, counted from 1: controller, sidecar, prepare, executor.
const TASK: &str =
    "task() { tr ',' '\\n' < ../../tasks.json | sed -n 's/.*\"pid\":\\([0-9]*\\).*/\\1/p' | sed -n \"$1p\"; }\n";

fn script(rest: &str) -> String {
    format!("#!/bin/sh\n{TASK}{rest}")
}

impl Machine {
    /// Whoever of the build's tasks was started, in the order in which they were.
    fn tasks(&self, build: &BuildId) -> Vec<i32> {
        let written = std::fs::read(self.dir(build).join("tasks.json")).unwrap();
        let tasks: Vec<serde_json::Value> = serde_json::from_slice(&written).unwrap();
        tasks.iter().map(|task| i32::try_from(task["pid"].as_i64().unwrap()).unwrap()).collect()
    }

    /// A build whose commit is fetched from a server that never answers; given once its `prepare` has asked.
    async fn never_prepared(&self, change: impl FnOnce(&mut Order)) -> (BuildId, tokio::net::TcpStream) {
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/o/r", silent.local_addr().unwrap());
        let mut order = self.order(&self.script("#!/bin/sh\necho started\n"));
        order.meta.insert("REPO_URL".to_owned(), url.clone());
        order.grant.as_mut().unwrap().facts.repo_url = url;
        change(&mut order);
        let build = self.engine().dispatch(&order).await.unwrap();
        let (connection, _) = tokio::time::timeout(LONG, silent.accept()).await.expect("prepare asks").unwrap();
        (build, connection)
    }
}

#[tokio::test]
async fn what_prepare_cannot_do_is_no_fault_of_the_script_and_says_why() {
    let machine = Machine::new();
    machine.script("#!/bin/sh\necho started\n");
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let build = machine.engine().dispatch(&machine.order(commit)).await.unwrap();
    let said = machine.end_of(&build).await;
    let Outcome::Infra { reason } = &said.outcome else { panic!("{:?}", said.outcome) };
    assert_eq!(reason, "the commit could not be fetched: see the log of task prepare");
    assert_eq!(said.stdout, "never: the build ended before its script was started");
    let prepare = text(&machine.log_of(&build, "prepare", LogStream::Stderr).await);
    assert!(prepare.contains(commit), "{prepare}");
    assert!(machine.tasks(&build).into_iter().all(is_gone));
}

#[tokio::test]
async fn a_script_that_kills_its_controller_is_not_green() {
    let machine = Machine::new();
    let said = machine.build(&script("echo script $$\nkill -KILL $(task 1)\nexec sleep 1000\n")).await;
    assert_eq!(said.outcome, Outcome::Infra { reason: "task controller failed with exit 137".to_owned() });
    assert!(is_gone(pid(&said.stdout, "script ")));
}

#[tokio::test]
async fn nor_is_one_that_kills_it_and_exits_0_at_once() {
    let machine = Machine::new();
    let said = machine.build(&script("kill -KILL $(task 1)\nexit 0\n")).await;
    // Whoever sees it first: the engine, or exec, which cannot know that all is kept.
    let is_told = matches!(said.outcome, Outcome::Infra { .. } | Outcome::Failure { exit_code: 74, .. });
    assert!(is_told, "{:?}", said.outcome);
}

#[tokio::test]
async fn a_script_that_kills_its_sidecar_is_not_green() {
    let machine = Machine::new();
    let said = machine.build(&script("echo script $$\nkill -KILL $(task 2)\nexec sleep 1000\n")).await;
    assert_eq!(said.outcome, Outcome::Infra { reason: "task sidecar failed with exit 137".to_owned() });
    assert!(is_gone(pid(&said.stdout, "script ")));
}

#[tokio::test]
async fn a_script_that_kills_exec_has_failed() {
    let machine = Machine::new();
    let said = machine.build(&script("kill -KILL $PPID\nexec sleep 1000\n")).await;
    assert_eq!(said.outcome, Outcome::Failure { exit_code: 137, signal: 9 });
}

#[tokio::test]
async fn sockets_and_tokens_that_the_script_has_replaced_change_nothing() {
    let machine = Machine::new();
    let said = machine
        .build("#!/bin/sh\ncd ..\nrm -f albatros.sock albatros.token bin/albatros\nmkfifo albatros.sock\necho x > albatros.token\nln -s /etc/hostname albatros-trusted.token\nexit 3\n")
        .await;
    assert_eq!(said.outcome, failed_with(3), "{}", said.stderr);
}

#[tokio::test]
async fn a_build_is_cancelled_while_its_workspace_is_prepared() {
    let machine = Machine::new();
    let (build, _connection) = machine.never_prepared(|_| {}).await;
    assert_eq!(machine.verdict(&build).await, Verdict::Preparing);
    machine.engine().stop(&build).await.unwrap();
    assert!(matches!(machine.outcome(&build).await, Outcome::Cancelled { .. }));
    assert!(machine.tasks(&build).into_iter().all(is_gone));
}

#[tokio::test]
async fn a_workspace_that_takes_too_long_is_a_timeout() {
    let machine = Machine::new();
    let (build, _connection) = machine.never_prepared(|order| order.timeout = Duration::from_secs(1)).await;
    assert_eq!(machine.outcome(&build).await, Outcome::Timeout);
    assert!(machine.tasks(&build).into_iter().all(is_gone));
}

#[tokio::test]
async fn no_task_outlives_its_script() {
    let machine = Machine::new();
    let build = machine.dispatch("#!/bin/sh\necho ready\nuntil [ -e go ]; do sleep 0.02; done\n").await;
    machine.printed(&build, "ready").await;
    assert_eq!(machine.verdict(&build).await, Verdict::Running);
    let tasks = machine.tasks(&build);
    assert_eq!((tasks.len(), is_gone(tasks[0]), is_gone(tasks[1])), (4, false, false));
    std::fs::write(machine.dir(&build).join("alloc/workspace/go"), "").unwrap();
    assert_eq!(machine.outcome(&build).await, Outcome::Success);
    assert!(tasks.into_iter().all(is_gone));
}

#[tokio::test]
async fn no_task_outlives_a_killed_supervisor() {
    let machine = Machine::new();
    let build = machine.dispatch("#!/bin/sh\necho ready\nexec sleep 1000\n").await;
    machine.printed(&build, "ready").await;
    let tasks = machine.tasks(&build);
    kill_process(super::restarts::supervisor(&machine, &build), Signal::KILL).unwrap();
    assert!(matches!(machine.outcome(&build).await, Outcome::Lost { .. }));
    assert!(tasks.into_iter().all(is_gone));
}

#[tokio::test]
async fn the_socket_of_a_build_in_a_very_long_directory_is_found() {
    let machine = Machine::in_directory(&format!("{}/{}", "long".repeat(30), "longer".repeat(20)));
    let said = machine.build("#!/bin/sh\n../bin/albatros param > /dev/null && echo \"$ALBATROS_API\"\n").await;
    assert_eq!(said.outcome, Outcome::Success, "{}", said.stderr);
    assert!(said.stdout.len() > 240, "{}", said.stdout);
}
