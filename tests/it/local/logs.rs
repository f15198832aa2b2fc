//! A local build's log: every byte, in order, once, live, and an end.

use albatros::domain::outcome::Outcome;
use albatros::engine::{EngineError, LogStream};

use super::Machine;

#[tokio::test]
async fn every_byte_arrives_also_binary_ones_and_a_last_line_without_newline() {
    let machine = Machine::new();
    let build = machine
        .dispatch("#!/bin/sh\nhead -c 3000000 /dev/zero | tr '\\0' x\nprintf '\\000\\377end'\nprintf err >&2\n")
        .await;
    let log = machine.log(&build, LogStream::Stdout).await;
    assert_eq!(log.len(), 3_000_005);
    assert!(log[..3_000_000].iter().all(|byte| *byte == b'x'));
    assert_eq!(&log[3_000_000..], b"\0\xffend");
    assert_eq!(machine.log(&build, LogStream::Stderr).await, b"err");
}

#[tokio::test]
async fn a_log_is_live() {
    let machine = Machine::new();
    let build = machine.dispatch("#!/bin/sh\necho first\nuntil [ -e go ]; do sleep 0.02; done\necho last\n").await;
    machine.printed(&build, "first").await;
    std::fs::write(machine.dir(&build).join("alloc/workspace/go"), "").unwrap();
    assert_eq!(machine.log(&build, LogStream::Stdout).await, b"first\nlast\n");
}

#[tokio::test]
async fn a_script_that_opens_dev_stdout_anew_does_not_empty_its_log() {
    let machine = Machine::new();
    let said = machine.build("#!/bin/sh\necho one\necho two > /dev/stdout\necho three\n").await;
    assert_eq!(said.stdout, "one\ntwo\nthree\n");
}

#[tokio::test]
async fn a_silent_build_has_an_empty_log_that_ends() {
    let machine = Machine::new();
    let said = machine.build("#!/bin/sh\n").await;
    assert_eq!((said.stdout.as_str(), said.stderr.as_str(), said.outcome), ("", "", Outcome::Success));
}

#[tokio::test]
async fn there_is_no_other_task_and_no_other_build() {
    let machine = Machine::new();
    let build = machine.dispatch("#!/bin/sh\n").await;
    let refused = machine.engine().log(&build, "controller", LogStream::Stdout).await;
    assert!(matches!(refused, Err(EngineError::Unknown(_))));
    let other = "builder/dispatch-1-00000000".parse().unwrap();
    assert!(matches!(machine.engine().log(&other, "executor", LogStream::Stdout).await, Err(EngineError::Unknown(_))));
    assert!(machine.engine().observe(&other).await.unwrap().job.is_none());
    machine.outcome(&build).await;
}
