//! What becomes of builds when the server or the supervisor is killed.

use albatros::domain::outcome::Outcome;
use albatros::engine::{LocalEngine, LocalError, LogStream};

use super::{Machine, failed_with, is_gone, pid};

/// A build that cannot be ended politely.
const STUBBORN: &str = "#!/bin/sh\ntrap '' TERM\n\
    setsid sh -c 'trap \"\" TERM; echo daemon $$; while :; do sleep 1; done' &\n\
    sleep 0.2; echo script $$\nwhile :; do sleep 1; done\n";

#[tokio::test]
async fn a_killed_supervisor_means_lost_and_nothing_of_the_build_stays() {
    let machine = Machine::new();
    let build = machine.dispatch(STUBBORN).await;
    let said = machine.printed(&build, "script ").await;
    let supervisor = supervisor(&machine, &build);
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).unwrap();
    assert!(matches!(machine.outcome(&build).await, Outcome::Lost { .. }));
    for name in ["daemon ", "script "] {
        assert!(is_gone(pid(&said, name)), "{name} is alive");
    }
}

#[tokio::test]
async fn outcome_and_log_of_an_ended_build_survive_a_restart() {
    let mut machine = Machine::new();
    let build = machine.dispatch("#!/bin/sh\necho hello\nexit 5\n").await;
    assert_eq!(machine.outcome(&build).await, failed_with(5));
    machine.reopen().await;
    let said = machine.end_of(&build).await;
    assert_eq!((said.outcome, said.stdout.as_str()), (failed_with(5), "hello\n"));
}

#[tokio::test]
async fn two_engines_never_share_a_directory() {
    let machine = Machine::new();
    assert!(matches!(LocalEngine::open(machine.settings()), Err(LocalError::InUse(_))));
}

pub(super) fn supervisor(machine: &Machine, build: &albatros::domain::id::BuildId) -> rustix::process::Pid {
    let written = std::fs::read(machine.dir(build).join("build.json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&written).unwrap();
    let pid = value["supervisor"]["pid"].as_i64().unwrap();
    rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap()
}

#[tokio::test]
async fn a_log_of_a_lost_build_ends_too() {
    let machine = Machine::new();
    let build = machine.dispatch("#!/bin/sh\necho ready\nexec sleep 1000\n").await;
    machine.printed(&build, "ready").await;
    rustix::process::kill_process(supervisor(&machine, &build), rustix::process::Signal::KILL).unwrap();
    assert_eq!(machine.log(&build, LogStream::Stdout).await, b"ready\n");
}
