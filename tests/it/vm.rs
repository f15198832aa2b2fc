//! `albatros vm` as a process: what it says where there can be no machine, and that a machine's process ends with it.

use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

/// Longer than a process takes to be gone on the busiest machine.
const GONE_WITHIN: Duration = Duration::from_secs(60);

fn albatros() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A run of a build without a controller, whose workspace is there.
fn vm(alloc: &Path, vars: &[(&str, &str)]) -> (i32, String) {
    said(&run(alloc, vars).output().unwrap())
}

fn run(alloc: &Path, vars: &[(&str, &str)]) -> Command {
    std::fs::create_dir_all(alloc.join("workspace")).unwrap();
    let mut command = albatros();
    command.arg("vm").env("NOMAD_ALLOC_DIR", alloc).env("ALBATROS_LOCAL_WORKSPACE", "true");
    command.env("ALBATROS_VM_STORE", alloc.join("store")).env("PATH", alloc.join("no-programs"));
    for (name, value) in [
        ("NOMAD_META_REPO_URL", "https://git.example/o/r"),
        ("NOMAD_META_COMMIT", "0123456789012345678901234567890123456789"),
        ("NOMAD_META_BRANCH", "main"),
        ("NOMAD_META_FLAVOR", "default"),
        ("NOMAD_META_IMAGE", "debian:12"),
    ] {
        command.env(name, value);
    }
    command.envs(vars.iter().copied());
    command
}

/// Programs that are there, and nothing more is asked of them.
fn programs(dir: &Path, names: &[&str]) -> PathBuf {
    let bin = dir.join("bin");
    std::fs::create_dir_all(&bin).unwrap();
    for name in names {
        std::fs::write(bin.join(name), "").unwrap();
    }
    bin
}

/// Its end, within a bound that is longer than it takes on the busiest machine.
fn end(mut child: Child, within: Duration) -> ExitStatus {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if begun.elapsed() > within {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("it does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn said(output: &Output) -> (i32, String) {
    (output.status.code().unwrap(), String::from_utf8(output.stderr.clone()).unwrap())
}

#[test]
fn what_is_missing_for_a_machine_is_named() {
    let dir = tempfile::tempdir().unwrap();
    for (vars, words) in [
        (&[("NOMAD_META_IMAGE", "")][..], "no image is named: type `albatros vm image list`"),
        (&[("NOMAD_MEMORY_LIMIT", "200")], "the task's memory is too small for a machine"),
        (&[("ALBATROS_VM_DISK", "small")], "ALBATROS_VM_DISK: expected a size"),
        (&[("ALBATROS_VM_ENGINE", "qemu")], "is not installed on this node"),
        (&[("ALBATROS_VM_ENGINE", "krun")], "podman and crun with krun are not installed"),
    ] {
        let (code, err) = vm(dir.path(), vars);
        assert_eq!(code, 125, "{err}");
        assert!(err.contains(words), "{words}: {err}");
    }
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_up_the_end_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _reader) = UnixStream::pair().unwrap();
    log.set_nonblocking(true).unwrap();
    while log.write(&[b'x'; 4096]).is_ok() {}
    log.set_nonblocking(false).unwrap();
    let mut command = run(dir.path(), &[("NOMAD_META_IMAGE", "")]);
    let child = command.stderr(OwnedFd::from(log)).spawn().unwrap();
    assert_eq!(end(child, GONE_WITHIN).code(), Some(125));
}

#[test]
fn a_run_that_waits_for_the_store_is_stopped_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let bin = programs(dir.path(), &["qemu-system-x86_64"]);
    std::fs::create_dir(dir.path().join("store")).unwrap();
    let lock = std::fs::File::create(dir.path().join("store/lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    let child = run(dir.path(), &[("PATH", bin.to_str().unwrap())]).stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    // It makes the store's folders, and waits then.
    while !dir.path().join("store/names").is_dir() {
        assert!(begun.elapsed() < GONE_WITHIN, "it does not open the store");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    // Less than it would wait for the store.
    assert_eq!(end(child, Duration::from_secs(45)).code(), Some(143));
}

#[test]
fn a_folder_that_another_run_brings_back_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let bin = programs(dir.path(), &["krun", "podman"]);
    let shared = dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let held = std::fs::File::open(&shared).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let mount = format!("{0}:/a {0}:/b:rw", shared.display());
    let vars = [("ALBATROS_VM_ENGINE", "krun"), ("PATH", bin.to_str().unwrap()), ("ALBATROS_VM_MOUNT", &mount)];
    let (code, err) = vm(dir.path(), &vars);
    assert_eq!((code, err.contains("one run at a time has a folder with :rw")), (125, true), "{err}");
}

#[test]
fn a_program_that_is_kept_ends_with_who_started_it() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("process");
    let line = r#""$0" vm keep --parent $$ --mark "$1" -- /bin/sleep 1000 & wait"#;
    let mut parent = Command::new("sh");
    parent.args(["-c", line, env!("CARGO_BIN_EXE_albatros")]).arg(&mark).stdin(Stdio::null());
    let mut parent = parent.spawn().unwrap();
    let begun = Instant::now();
    let kept = loop {
        let marked = std::fs::read_to_string(&mark).unwrap_or_default();
        let pid = marked.split(' ').next().unwrap().to_owned();
        // It is tied by the time it has become the program.
        if !pid.is_empty() && name(&pid) == "sleep" {
            break pid;
        }
        assert!(begun.elapsed() < GONE_WITHIN, "it was not started: {marked:?}");
        std::thread::yield_now();
    };
    parent.kill().unwrap();
    parent.wait().unwrap();
    let begun = Instant::now();
    while name(&kept) == "sleep" {
        assert!(begun.elapsed() < GONE_WITHIN, "it lives on");
        std::thread::yield_now();
    }
}

/// Of a process that runs; nothing of one that is gone, or that nobody has waited for yet.
fn name(pid: &str) -> String {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let (name, rest) = stat.rsplit_once(") ").unwrap_or_default();
    if rest.starts_with('Z') { String::new() } else { name.split('(').next_back().unwrap_or_default().to_owned() }
}

#[test]
fn a_program_whose_parent_is_gone_is_not_started() {
    let dir = tempfile::tempdir().unwrap();
    let touched = dir.path().join("touched");
    let mut command = albatros();
    command.args(["vm", "keep", "--parent", "1", "--mark"]).arg(dir.path().join("process"));
    let (code, err) = said(&command.args(["--", "/usr/bin/touch"]).arg(&touched).output().unwrap());
    assert_eq!((code, err.contains("the parent is gone")), (126, true), "{err}");
    assert!(!touched.exists());
}
