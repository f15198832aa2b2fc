//! What a machine is: its processors, its memory, and the program that is its first one.

use std::io::Write as _;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::node::{LOST, Node};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_has_the_processors_and_the_memory_that_it_was_told() {
    let Some(node) = Node::begin("vm: shape").await else { return };
    let script = "#!/bin/sh\nnproc\nsed -n 's/^MemTotal: *\\([0-9]*\\) kB$/\\1/p' /proc/meminfo\n";
    for (cpus, memory) in [("2", 384), ("1", 512)] {
        let memory_text = memory.to_string();
        let ended = node.build(script).flags(&["--cpus", cpus, "--memory", &memory_text]).run().await;
        assert_eq!(ended.code, 0, "{}", ended.err);
        let mut lines = ended.out().lines();
        assert_eq!(lines.next(), Some(cpus), "{}", ended.out());
        let total = lines.next().unwrap().parse::<u64>().unwrap() / 1024;
        // The kernel keeps some of it for itself.
        assert!((memory - 96..=memory).contains(&total), "{total} MiB of {memory}");
    }
    node.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_in_a_machine_is_that_of_a_folder_where_one_is_named() {
    let Some(node) = Node::begin("vm: bin-from").await else { return };
    let folder = node.room().join("bin-from");
    std::fs::create_dir(&folder).unwrap();
    let program = folder.join("albatros");
    std::fs::copy(node.program(), &program).unwrap();
    // The same program, and yet another file.
    std::fs::OpenOptions::new().append(true).open(&program).unwrap().write_all(b"of a developer").unwrap();
    let sum = hex::encode(Sha256::digest(std::fs::read(&program).unwrap()));
    let flags = ["--bin-from", folder.to_str().unwrap()];
    let script = "#!/bin/sh\nalbatros --version >/dev/null && sha256sum \"$(command -v albatros)\" | cut -d' ' -f1\n";
    let ended = node.build(script).flags(&flags).run().await;
    assert_eq!((ended.code, ended.out().trim()), (0, sum.as_str()), "{}", ended.err);

    // One that looks for libraries finds none in a machine.
    std::fs::copy(Path::new("/bin/sh"), &program).unwrap();
    let ended = node.build(script).flags(&flags).run().await;
    assert_eq!((ended.code, ended.out()), (LOST, ""), "{}", ended.err);
    assert!(ended.err.contains("it is not a static program"), "{}", ended.err);
    node.nothing_is_left().await;
}
