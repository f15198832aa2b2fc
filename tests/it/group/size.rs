//! `albatros sidecar`: a build that outgrows its limit is ended, whatever the script does to mislead it.

use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use tokio::process::{Child, Command};

use super::{Ended, Group, end_of, is_root, stop};

const MIB: usize = 1 << 20;

fn big(file: &Path, mebibytes: usize) {
    std::fs::write(file, vec![1; mebibytes * MIB]).unwrap();
}

/// A sidecar with this limit, which has attached, and a prepared workspace.
async fn watched(group: &Group, limit: &str, change: impl FnOnce(&mut Command)) -> Child {
    let controller = group.controller();
    let mut sidecar = group.task(&["sidecar"]);
    sidecar.env("ALBATROS_DISK_LIMIT", limit);
    change(&mut sidecar);
    let sidecar = sidecar.spawn().unwrap();
    controller.called("POST /v1/attach").await;
    for file in ["albatros-trusted.sock", "albatros-trusted.token"] {
        std::fs::remove_file(group.alloc().join(file)).unwrap();
    }
    std::fs::create_dir(group.workspace()).unwrap();
    sidecar
}

fn assert_full(ended: &Ended) {
    assert_eq!(ended.code, 28, "{}", ended.err);
    assert!(ended.err.contains("more than the limit of"), "{}", ended.err);
}

#[tokio::test]
async fn a_build_that_outgrows_its_limit_is_told_both_sizes() {
    let group = Group::of("").await;
    let sidecar = watched(&group, "2M", |_| {}).await;
    // Whole from the first look on.
    big(&group.room.path().join("file"), 5);
    std::fs::rename(group.room.path().join("file"), group.workspace().join("file")).unwrap();
    let ended = end_of(sidecar).await;
    assert_full(&ended);
    assert!(ended.err.contains("the build's files hold 5.") && ended.err.contains("limit of 2.0 MiB"), "{}", ended.err);
}

#[tokio::test]
async fn a_sidecar_that_is_told_to_end_ends_with_0() {
    let group = Group::of("").await;
    let sidecar = watched(&group, "1G", |_| {}).await;
    stop(&sidecar);
    let ended = end_of(sidecar).await;
    assert_eq!((ended.code, ended.err.as_str()), (0, ""));

    let never_attached = group.task(&["sidecar"]).spawn().unwrap();
    let started = async {
        // Its signals are its own once it waits for the controller.
        while !std::fs::read_to_string(format!("/proc/{}/status", never_attached.id().unwrap())).unwrap().lines().any(
            |line| line.starts_with("SigCgt:") && u64::from_str_radix(line[7..].trim(), 16).unwrap() & (1 << 14) != 0,
        ) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(super::LONG, started).await.unwrap();
    stop(&never_attached);
    assert_eq!(end_of(never_attached).await.code, 0);
}

#[tokio::test]
async fn what_a_script_puts_in_the_place_of_trusted_things_fools_nobody() {
    let outside = tempfile::tempdir().unwrap();
    big(&outside.path().join("huge"), 64);
    let group = Group::of("").await;
    let mut sidecar = watched(&group, "16M", |_| {}).await;
    let alloc = group.alloc();
    let moved = alloc.with_file_name("moved");
    // A link out of the build, a socket of the script's own, another program, another directory.
    std::fs::remove_dir(group.workspace()).unwrap();
    symlink(outside.path(), group.workspace()).unwrap();
    let liar = tokio::net::UnixListener::bind(alloc.join("albatros-trusted.sock")).unwrap();
    std::fs::write(alloc.join("albatros-trusted.token"), "mine").unwrap();
    std::fs::create_dir_all(alloc.join("bin")).unwrap();
    symlink("/bin/true", alloc.join("bin/albatros")).unwrap();
    std::fs::rename(&alloc, &moved).unwrap();
    symlink(outside.path(), &alloc).unwrap();
    let fooled = tokio::time::timeout(std::time::Duration::from_secs(4), async {
        tokio::select! {
            _ = sidecar.wait() => "ended",
            _ = liar.accept() => "connected",
        }
    });
    assert!(fooled.await.is_err());
    big(&moved.join("real"), 20);
    assert_full(&end_of(sidecar).await);
}

#[tokio::test]
async fn what_lies_deeper_than_anything_is_looked_into_is_not_hidden() {
    let group = Group::of("").await;
    let sidecar = watched(&group, "16M", |_| {}).await;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let mut at = openat(rustix::fs::CWD, group.workspace(), flags, Mode::empty()).unwrap();
    for _ in 0..1_000 {
        mkdirat(&at, "d", Mode::from_raw_mode(0o755)).unwrap();
        at = openat(&at, "d", flags, Mode::empty()).unwrap();
    }
    let file = openat(&at, "f", OFlags::CREATE | OFlags::WRONLY, Mode::from_raw_mode(0o644)).unwrap();
    std::io::Write::write_all(&mut std::fs::File::from(file), &vec![1; 256 * MIB]).unwrap();
    let ended = end_of(sidecar).await;
    assert_full(&ended);
    assert!(ended.err.contains("cannot be looked into"), "{}", ended.err);
}

#[tokio::test]
async fn what_is_put_into_a_directory_without_permissions_is_not_hidden() {
    if !is_root() {
        eprintln!("skipped: needs root to take another user");
        return;
    }
    let group = Group::of("").await;
    let nobody = |command: &mut Command| {
        command.uid(65_534).gid(65_534);
    };
    std::os::unix::fs::chown(group.alloc(), Some(65_534), Some(65_534)).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let alone = group.room.path().join("albatros");
    std::fs::copy(env!("CARGO_BIN_EXE_albatros"), &alone).unwrap();
    std::fs::set_permissions(&alone, open).unwrap();
    let controller = group.controller();
    for file in ["albatros-trusted.sock", "albatros-trusted.token"] {
        std::os::unix::fs::chown(group.alloc().join(file), Some(65_534), Some(65_534)).unwrap();
    }
    let mut sidecar = group.task_of(&alone, &["sidecar"]);
    sidecar.env("ALBATROS_DISK_LIMIT", "16M");
    nobody(&mut sidecar);
    let sidecar = sidecar.spawn().unwrap();
    controller.called("POST /v1/attach").await;
    let hidden = group.alloc().join("hidden");
    std::fs::create_dir(&hidden).unwrap();
    std::fs::set_permissions(&hidden, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    big(&hidden.join("file"), 256);
    let ended = end_of(sidecar).await;
    assert_full(&ended);
    assert!(ended.err.contains("cannot be looked into"), "{}", ended.err);
}
