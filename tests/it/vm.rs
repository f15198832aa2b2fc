//! `albatros vm` as a process: what it says where there can be no machine, and that a machine's process ends with it.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Longer than a process takes to be gone on the busiest machine.
const GONE_WITHIN: Duration = Duration::from_secs(60);

fn albatros() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_albatros"));
    command.env_clear().stdin(Stdio::null());
    command
}

/// A run of a build without a controller, whose workspace is there.
fn vm(alloc: &Path, vars: &[(&str, &str)]) -> (i32, String) {
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
    said(&command.envs(vars.iter().copied()).output().unwrap())
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
