//! `kill -9` of each process on the way: the build's end is the node's trouble, and nothing is left after the next start.

use rustix::process::Signal;

use super::node::{LOST, Node, kill};
use crate::story::until;

const WAITS: &str = "#!/bin/sh\necho begun\nwhile :; do sleep 1; done\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machine_ends_with_the_process_that_started_it() {
    let Some(node) = Node::begin("vm: kill -9 of albatros vm").await else { return };
    let (mut running, _controller) = node.build(WAITS).start();
    running.says("begun\n").await;
    assert!(!node.machines().is_empty());
    running.signal(Signal::KILL);
    let ended = running.end().await;
    assert_eq!(ended.code, -9);
    until("no machine", || async { node.machines().is_empty().then_some(()) }).await;
    // Its folder goes with the next start.
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_killed_is_told_as_lost() {
    let Some(node) = Node::begin("vm: kill -9 of qemu").await else { return };
    let (mut running, controller) = node.build(WAITS).start();
    running.says("begun\n").await;
    node.machines().into_iter().for_each(|pid| kill(pid, Signal::KILL));
    let ended = running.end().await;
    assert_eq!(ended.code, LOST, "{}", ended.err);
    let calls = controller.calls();
    assert!(calls.iter().any(|call| call.starts_with("machine ") && call.contains("\"failed\"")), "{calls:?}");
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_killed_before_it_has_booted_is_told_as_lost() {
    let Some(node) = Node::begin("vm: kill -9 of vm keep").await else { return };
    let (running, controller) = node.build(WAITS).start();
    // The keeper becomes qemu: whichever of the two it is by now.
    let first = until("a process of the machine", || async {
        let found = node.machines();
        (!found.is_empty()).then_some(found)
    });
    first.await.into_iter().for_each(|pid| kill(pid, Signal::KILL));
    let ended = running.end().await;
    assert_eq!((ended.code, ended.out()), (LOST, ""), "{}", ended.err);
    let calls = controller.calls();
    assert!(calls.iter().any(|call| call.starts_with("machine ") && call.contains("\"failed\"")), "{calls:?}");
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_kills_its_executor_is_not_green() {
    let Some(node) = Node::begin("vm: kill -9 of exec").await else { return };
    let ended = node.build("#!/bin/sh\nkill -9 $PPID\nsleep 1\nexit 0\n").run().await;
    assert_ne!(ended.code, 0, "{}", ended.err);
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_goes_on_without_its_controller_and_is_not_green() {
    let Some(node) = Node::begin("vm: no controller any more").await else { return };
    let build =
        node.build("#!/bin/sh\necho begun\nwhile [ ! -e /tmp/never ]; do sleep 1; albatros param A && exit 0; done\n");
    let socket = build.workspace().join("../albatros.sock");
    let (mut running, _controller) = build.flags(&["--life", "60s"]).start();
    running.says("begun\n").await;
    std::fs::remove_file(socket).unwrap();
    running.signal(Signal::TERM);
    let ended = running.end().await;
    assert_ne!(ended.code, 0, "{}", ended.err);
    node.is_unharmed().await;
}
