//! A task of a build: one child process of its supervisor, with what Nomad would give to it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use super::super::rooms::{self, Room};
use super::descendants::Identity;
use crate::domain::container;
use crate::domain::outcome::EXECUTOR;
use crate::domain::runner::{CONTROLLER, PREPARE, SHARED_LOOPBACK, SIDECAR};

/// A task that was started.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) name: &'static str,
    pub(super) started: Timestamp,
    pub(super) ended: Option<(Timestamp, WaitStatus)>,
    pid: Pid,
    identity: Option<Identity>,
}

/// All tasks that were started. They are waited for together with every orphan of the build, never through a handle.
#[derive(Debug, Default)]
pub(super) struct Tasks(Vec<Task>);

/// What a task types after `albatros`.
fn verb(task: &str) -> &'static [&'static str] {
    match task {
        CONTROLLER => &["controller", "--grant-stdin"],
        SIDECAR => &["sidecar"],
        PREPARE => &["sidecar", "prepare"],
        _executor => &["exec"],
    }
}

/// Whether a task is given a variable of the supervisor: Nomad's all are, what git needs `prepare` alone.
fn is_for(task: &str, name: &OsStr) -> bool {
    let of_nomad = name.as_bytes().starts_with(b"NOMAD_");
    let of_script =
        ["ALBATROS_PATH", SHARED_LOOPBACK, container::VARIABLE, container::MISSING].iter().any(|known| name == *known);
    match task {
        EXECUTOR => of_nomad || of_script,
        PREPARE => !of_script,
        CONTROLLER => of_nomad || name == rooms::LISTEN,
        _sidecars => of_nomad,
    }
}

impl Tasks {
    /// Starts a task in the build's directory. Its output goes to its log files; the executor's comes through pipes, as
    /// a script that opens /dev/stdout anew would empty a file.
    pub(super) fn start(&mut self, name: &'static str, dir: &Path, vars: &[(OsString, OsString)]) -> io::Result<Child> {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("albatros").args(verb(name)).current_dir(dir).process_group(0).env_clear();
        command.envs(vars.iter().filter(|(var, _)| is_for(name, var)).map(|(var, value)| (var, value)));
        command.env("NOMAD_TASK_NAME", name);
        command.env("NOMAD_TASK_DIR", rooms::of_task(dir, name, Room::Local));
        command.env("NOMAD_SECRETS_DIR", rooms::of_task(dir, name, Room::Secrets));
        command.stdin(if name == CONTROLLER { Stdio::piped() } else { Stdio::null() });
        if name == EXECUTOR {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
        } else {
            command.stdout(File::create(dir.join(rooms::log_file(name, "stdout")))?);
            command.stderr(File::create(dir.join(rooms::log_file(name, "stderr")))?);
        }
        let child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("a process without a number"))?;
        let identity = Identity::of(child.id());
        self.0.push(Task { name, started: Timestamp::now(), ended: None, pid, identity });
        Ok(child)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Task> {
        self.0.iter().find(|task| task.name == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Task> {
        self.0.iter()
    }

    /// Takes every child that has ended, tasks among them; says whether any is left.
    pub(super) fn reap(&mut self) -> bool {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    if let Some(task) = self.0.iter_mut().find(|task| task.pid == pid && task.ended.is_none()) {
                        task.ended = Some((Timestamp::now(), status));
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Ok(None) => return true,
                Err(_no_child) => return false,
            }
        }
    }

    /// Signals a task that has not ended: it is not reaped yet, so the number is still its own.
    pub(super) fn signal(&self, name: &str, signal: Signal) {
        if let Some(task) = self.get(name).filter(|task| task.ended.is_none()) {
            let _ = rustix::process::kill_process(task.pid, signal);
        }
    }

    /// The numbers of those of `names` that run.
    pub(super) fn running(&self, names: &[&str]) -> Vec<i32> {
        let running = self.0.iter().filter(|task| task.ended.is_none() && names.contains(&task.name));
        running.map(|task| task.pid.as_raw_nonzero().get()).collect()
    }

    /// Who they are, for whoever must end them should this supervisor be killed: their `/proc` entries do not tell, as
    /// they hide their environment from the script.
    pub(super) fn identities(&self) -> Vec<Identity> {
        self.0.iter().filter_map(|task| task.identity.clone()).collect()
    }
}
