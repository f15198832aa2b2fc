//! `albatros vm image` as a process: one that is killed leaves nothing that counts.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

fn image(node: &Path, verb: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.env_clear().env("ALBATROS_VM_STORE", node.join("store")).args(["vm", "image"]).args(verb);
    command
}

/// A kernel that has all it needs built in.
fn kernel(node: &Path) -> [String; 4] {
    let (file, modules) = (node.join("vmlinuz-6.1"), node.join("modules"));
    fs::create_dir(&modules).unwrap();
    fs::write(&file, "kernel").unwrap();
    fs::write(modules.join("modules.dep"), "").unwrap();
    let builtin = ["virtio_mmio", "virtio_blk", "virtio_console", "overlay", "squashfs", "ext4"];
    fs::write(modules.join("modules.builtin"), builtin.map(|name| format!("kernel/{name}.ko\n")).concat()).unwrap();
    let text = |path: &Path| path.display().to_string();
    ["--kernel".to_owned(), text(&file), "--modules".to_owned(), text(&modules)]
}

#[test]
fn a_building_that_is_killed_leaves_nothing_that_counts() {
    let node = tempfile::tempdir().unwrap();
    let mut building = image(node.path(), &["build", "-", "--name", "half"]);
    building.args(kernel(node.path())).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut building = building.spawn().unwrap();
    let mut said = String::new();
    // It waits for an archive that never comes; its place in the store is made by then.
    BufReader::new(building.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("standard input"), "{said}");
    let tmp = node.path().join("store/tmp");
    let left = || fs::read_dir(&tmp).unwrap().count();
    assert_eq!(left(), 1);
    let beside = image(node.path(), &["list", "--json"]).output().unwrap();
    assert_eq!((left(), beside.status.code()), (1, Some(0)), "somebody works on it");
    building.kill().unwrap();
    building.wait().unwrap();
    let listed = image(node.path(), &["list", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap().trim(), "[]");
    assert_eq!(left(), 0);
}

#[test]
fn what_cannot_be_meant_is_wrong_use_and_says_what_could_be() {
    let node = tempfile::tempdir().unwrap();
    let wrong = [
        (vec!["build", "UPPER CASE"], "docker:NAME"),
        (vec!["build", "-"], "--name NAME"),
        (vec!["remove", "nothing"], "image list"),
    ];
    for (verb, why) in wrong {
        let output = image(node.path(), &verb).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
    }
}
