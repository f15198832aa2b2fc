//! Machines that begin from one that has booted before: each is its own.

use std::collections::BTreeSet;
use std::path::PathBuf;

use rustix::process::Signal;

use super::node::{Node, Running};
use crate::story::until;

/// The snapshots in its store.
fn snapshots(node: &Node) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(node.store().join("snapshots")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path().join("state")).collect()
}

/// The command line of its machine.
async fn line(node: &Node, running: &mut Running) -> String {
    running.says("begun\n").await;
    let pid = node.machines().into_iter().next().unwrap();
    String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/cmdline")).unwrap()).replace('\0', " ")
}

fn seconds() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn machines_of_one_snapshot_have_their_own_random_numbers_and_the_time_of_now() {
    let Some(node) = Node::begin("vm: snapshot").await else { return };
    let script = "#!/bin/sh
echo begun
head -c 16 /dev/urandom | od -An -tx1
head -c 16 /dev/random | od -An -tx1
cat /proc/sys/kernel/random/uuid /proc/sys/kernel/random/boot_id
date +%s
sleep 1
";
    let mut seen = BTreeSet::new();
    let mut states = BTreeSet::new();
    for _ in 0..3 {
        let before = seconds();
        let (mut running, _controller) = node.build(script).start();
        assert!(line(&node, &mut running).await.contains(" -incoming "));
        let ended = running.end().await;
        assert_eq!(ended.code, 0, "{}", ended.err);
        let lines: Vec<&str> = ended.out().lines().skip(1).map(str::trim).collect();
        let (random, time) = lines.split_at(4);
        for number in random {
            assert!(number.len() > 16 && seen.insert((*number).to_owned()), "{number} twice: {}", ended.out());
        }
        let time: i64 = time[0].parse().unwrap();
        assert!((before..=seconds()).contains(&time), "{time} of {before}");
        states.extend(snapshots(&node));
    }
    assert_eq!(states.len(), 1, "{states:?}");
    node.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spoiled_snapshot_is_said_and_the_machine_boots() {
    let Some(node) = Node::begin("vm: spoiled snapshot").await else { return };
    assert_eq!(node.build("#!/bin/sh\n").run().await.code, 0);
    let state = snapshots(&node).pop().unwrap();
    let whole = std::fs::metadata(&state).unwrap().len();
    std::fs::File::options().write(true).open(&state).unwrap().set_len(whole / 2).unwrap();
    let ended = node.build("#!/bin/sh\necho ran\n").run().await;
    assert_eq!((ended.code, ended.out()), (0, "ran\n"), "{}", ended.err);
    assert!(ended.err.contains("its snapshot has not become a machine"), "{}", ended.err);
    assert_eq!(snapshots(&node), Vec::<PathBuf>::new());
    // The next one has one again.
    node.is_unharmed().await;
    assert_eq!(snapshots(&node).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_snapshots_every_machine_boots() {
    let Some(node) = Node::begin("vm: no snapshot").await else { return };
    let (mut running, _controller) =
        node.build("#!/bin/sh\necho begun\nsleep 1\n").flags(&["--snapshot", "never"]).start();
    let line = line(&node, &mut running).await;
    assert!(!line.contains("-incoming") && !line.contains("--pause"), "{line}");
    assert_eq!(running.end().await.code, 0);
    assert_eq!(snapshots(&node), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_while_a_snapshot_is_made_leaves_nothing_of_it() {
    let Some(node) = Node::begin("vm: kill -9 while a snapshot is made").await else { return };
    let (running, _controller) = node.build("#!/bin/sh\nsleep 600\n").start();
    until("a machine", || async { (!node.machines().is_empty()).then_some(()) }).await;
    running.signal(Signal::KILL);
    running.end().await;
    until("no machine", || async { node.machines().is_empty().then_some(()) }).await;
    assert_eq!(snapshots(&node), Vec::<PathBuf>::new());
    node.is_unharmed().await;
    assert_eq!(snapshots(&node).len(), 1);
    let drafts = std::fs::read_dir(node.store().join("tmp")).unwrap().count();
    assert_eq!(drafts, 0);
}
