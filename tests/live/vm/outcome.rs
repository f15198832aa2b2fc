//! The script's exit code, and everything that it printed.

use super::node::Node;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machines_exit_code_is_its_scripts() {
    let Some(node) = Node::begin("vm: exit codes").await else { return };
    for code in [0, 3, 255] {
        let ended = node.build(&format!("#!/bin/sh\nid -u; exit {code}\n")).run().await;
        assert_eq!((ended.code, ended.out()), (code, "1000\n"), "{}", ended.err);
        assert!(ended.calls.iter().any(|call| call == "POST /v1/finish"), "{:?}", ended.calls);
        assert!(!ended.told_failed(), "{:?}", ended.calls);
    }
    let killed = node.build("#!/bin/sh\nkill -9 $$\n").run().await;
    assert_eq!(killed.code, 137, "{}", killed.err);
    node.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_megabytes_of_output_arrive_whole_and_in_order() {
    let Some(node) = Node::begin("vm: output").await else { return };
    // 16 bytes a line: a number in six places, a tab, eight letters.
    let lines = 10 * 1024 * 1024 / 16;
    let script = format!("#!/bin/sh\necho beside >&2\nyes abcdefgh | head -n {lines} | cat -n\necho last >&2\n");
    let ended = node.build(&script).flags(&["--life", "300s"]).run().await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert_eq!(ended.out.len(), lines * 16);
    let wrong = ended.out.chunks(16).zip(1..).find(|(line, n)| *line != format!("{n:>6}\tabcdefgh\n").as_bytes());
    assert!(wrong.is_none(), "{wrong:?}");
    let beside = ended.err.find("beside\n").unwrap();
    assert!(ended.err[beside..].contains("last\n"), "{}", ended.err);
}
