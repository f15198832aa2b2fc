//! `kill -9` of each process on the way: the build's end is the node's trouble, and nothing is left after the next start.

use albatros::domain::runner::NOT_KEPT;
use rustix::process::Signal;

use super::node::{LOST, Node, kill};
use crate::fake::controller::Answers;
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
async fn the_start_of_a_machine_that_is_killed_leaves_none() {
    let Some(node) = Node::begin("vm: kill -9 of albatros vm at boot").await else { return };
    let (running, _controller) = node.build(WAITS).start();
    until("a process of the machine", || async { (!node.machines().is_empty()).then_some(()) }).await;
    running.signal(Signal::KILL);
    let ended = running.end().await;
    assert_eq!((ended.code, ended.out()), (-9, ""), "{}", ended.err);
    until("no machine", || async { node.machines().is_empty().then_some(()) }).await;
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_whose_way_back_is_killed_stays_as_it_was() {
    let Some(node) = Node::begin("vm: kill -9 of albatros vm on the way back").await else { return };
    // Enough to be under way for a while.
    let script = "#!/bin/sh\ndd if=/dev/urandom of=large bs=1M count=100 2>/dev/null\necho changed >kept\n";
    let build = node.build(script).and("kept", b"old");
    let workspace = build.workspace();
    let (running, _controller) = build.start();
    let comes_back = || async {
        let beside = std::fs::read_dir(workspace.parent().unwrap()).unwrap().flatten();
        let drafts = beside.filter(|file| file.file_name().to_string_lossy().starts_with(".albatros-out-"));
        (drafts.count() > 0).then_some(())
    };
    until("a workspace on its way back", comes_back).await;
    running.signal(Signal::KILL);
    assert_eq!(running.end().await.code, -9);
    assert_eq!(std::fs::read(workspace.join("kept")).unwrap(), b"old");
    assert!(!workspace.join("large").exists());
    until("no machine", || async { node.machines().is_empty().then_some(()) }).await;
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_kills_its_executor_is_nobodys_failure() {
    let Some(node) = Node::begin("vm: kill -9 of exec").await else { return };
    let ended = node.build("#!/bin/sh\nkill -9 $PPID\nsleep 1\nexit 0\n").run().await;
    assert_eq!(ended.code, LOST, "{}", ended.err);
    assert!(ended.told_failed(), "{:?}", ended.calls);
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_runs_to_its_end_without_its_controller_and_is_not_green() {
    let Some(node) = Node::begin("vm: no controller any more").await else { return };
    let script = "#!/bin/sh\nwhile albatros param >/dev/null 2>&1; do echo asked; done\necho alone\n";
    let answers = Answers { params: Some("{}".to_owned()), ..Answers::default() };
    // Its controller is ended with what runs it. (Without its name alone, a socket is reached all the same.)
    let controllers = tokio::runtime::Runtime::new().unwrap();
    let build = {
        let _there = controllers.enter();
        node.build_with(script, answers)
    };
    let (mut running, _controller) = build.start();
    running.says("asked\n").await;
    controllers.shutdown_background();
    let ended = running.end().await;
    assert!(ended.out().ends_with("asked\nalone\n"), "{}{}", ended.out(), ended.err);
    assert_eq!(ended.code, i32::from(NOT_KEPT), "nobody was told how it ended: {}", ended.err);
    node.is_unharmed().await;
}
