//! A machine ends once, when it is told to or when its life is over.

use std::time::Instant;

use rustix::process::Signal;

use super::node::{LOST, Node};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_told_once_that_it_is_to_end() {
    let Some(node) = Node::begin("vm: TERM").await else { return };
    let script = "#!/bin/sh
trap 'echo told; exit 7' TERM
echo begun
while :; do sleep 1; done
";
    let build = node.build(script);
    let (mut running, controller) = build.start();
    running.says("begun\n").await;
    // Whoever sends it twice means the same.
    running.signal(Signal::TERM);
    running.signal(Signal::TERM);
    let ended = running.end().await;
    assert_eq!(ended.out(), "begun\ntold\n", "{}", ended.err);
    assert_ne!(ended.code, 0, "{}", ended.err);
    assert!(controller.calls().iter().all(|call| !call.contains("\"failed\"")), "{:?}", controller.calls());
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_stopped_while_it_boots_is_gone() {
    let Some(node) = Node::begin("vm: TERM at boot").await else { return };
    let (running, _controller) = node.build("#!/bin/sh\necho ran; sleep 100\n").start();
    crate::story::until("a machine", || async { (!node.machines().is_empty()).then_some(()) }).await;
    running.signal(Signal::TERM);
    let ended = running.end().await;
    assert_ne!(ended.code, 0, "{}", ended.err);
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_lives_no_longer_than_its_life() {
    let Some(node) = Node::begin("vm: life").await else { return };
    let begun = Instant::now();
    let build = node.build("#!/bin/sh\necho begun\ntrap '' TERM INT HUP\nwhile :; do sleep 1; done\n");
    let ended = build.flags(&["--life", "25s"]).run().await;
    assert_eq!((ended.code, ended.out()), (LOST, "begun\n"), "{}", ended.err);
    assert!(ended.told_failed(), "{:?}", ended.calls);
    assert!(begun.elapsed().as_secs() >= 25);
    assert!(ended.err.contains("it has lived for longer than its limit"), "{}", ended.err);
    node.is_unharmed().await;
}
