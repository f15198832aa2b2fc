//! What the workload gets of the machine, and that all of it ends: a control group.
//!
//! Memory and processes are kept back for init, so that neither a fork bomb nor a memory hog takes those from it.

use std::fs::{OpenOptions, create_dir_all, read_dir, read_to_string};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

use super::error::{GuestError, doing};

/// Where control groups are.
const GROUPS: &str = "/sys/fs/cgroup";
/// Memory that is kept back: init packs the workspace with it.
const RESERVE: u64 = 48 << 20;
/// Of a machine that is too small for that.
const LEAST: u64 = 16 << 20;
/// Processes and threads of a workload at most, and how many are kept back of what the kernel can have.
const TASKS_MOST: u64 = 8192;
const TASKS_RESERVE: u64 = 256;
/// What was killed is gone by then, or hangs in the kernel.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// The workload's control group; none where the kernel gives us none, as in a container.
#[derive(Debug)]
pub(super) struct Fence {
    work: Option<PathBuf>,
    own: PathBuf,
}

impl Fence {
    /// Makes it. `strict`: a machine without it is none.
    pub(super) fn make(strict: bool) -> Result<Self, GuestError> {
        let groups = PathBuf::from(GROUPS);
        let (work, own) = (groups.join("work"), groups.join("init"));
        let made = || {
            // Of the second kind: elsewhere these would be folders like any other.
            std::fs::metadata(groups.join("cgroup.controllers"))?;
            create_dir_all(&work)?;
            create_dir_all(&own)?;
            tell(&own.join("cgroup.procs"), "0")?;
            tell(&groups.join("cgroup.subtree_control"), "+cpu +memory +pids")?;
            tell(&work.join("memory.max"), &memory().to_string())?;
            tell(&work.join("pids.max"), &tasks().to_string())?;
            // Init is waited for by the host, whatever the workload does with its processors.
            tell(&own.join("cpu.weight"), "10000")
        };
        match made() {
            Ok(()) => Ok(Self { work: Some(work), own }),
            Err(error) if strict => Err(doing("fencing the workload in")(error)),
            Err(_none) => Ok(Self { work: None, own }),
        }
    }

    /// What `start` starts is inside from its first moment on.
    pub(super) fn around<T>(&self, start: impl FnOnce() -> T) -> Result<T, GuestError> {
        let Some(work) = &self.work else { return Ok(start()) };
        tell(&work.join("cgroup.procs"), "0").map_err(doing("going into the workload's group"))?;
        let started = start();
        tell(&self.own.join("cgroup.procs"), "0").map_err(doing("leaving the workload's group"))?;
        Ok(started)
    }

    /// Kills all of the workload.
    pub(super) fn kill(&self) {
        let killed = self.work.as_ref().is_some_and(|work| tell(&work.join("cgroup.kill"), "1").is_ok());
        if !killed {
            // Whoever is left is looked for again until nobody is.
            for pid in others() {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    /// Kills all of the workload, and waits until it is gone.
    pub(super) async fn clear(&self, mut reap: impl FnMut()) -> Result<(), GuestError> {
        let end = Instant::now() + GONE_WITHIN;
        loop {
            self.kill();
            reap();
            if !self.is_populated() {
                return Ok(());
            }
            if Instant::now() >= end {
                return Err(GuestError::Late { what: "the end of the workload's processes", within: GONE_WITHIN });
            }
            sleep(LOOK).await;
        }
    }

    fn is_populated(&self) -> bool {
        match &self.work {
            Some(work) => read_to_string(work.join("cgroup.events")).is_ok_and(|text| counted(&text, "populated") > 0),
            None => others().next().is_some(),
        }
    }

    /// Whether the kernel has killed something of it for want of memory.
    pub(super) fn starved(&self) -> bool {
        let events = self.work.as_ref().and_then(|work| read_to_string(work.join("memory.events")).ok());
        events.is_some_and(|text| counted(&text, "oom_kill") > 0)
    }
}

/// A number of a list of names and numbers.
fn counted(list: &str, name: &str) -> u64 {
    let mut lines = list.lines().filter_map(|line| line.split_once(' '));
    lines.find(|(known, _)| *known == name).and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0)
}

fn memory() -> u64 {
    let list = read_to_string("/proc/meminfo").unwrap_or_default();
    let line = list.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0);
    (kib << 10).saturating_sub(RESERVE).max(LEAST)
}

fn tasks() -> u64 {
    let most = read_to_string("/proc/sys/kernel/threads-max").ok().and_then(|text| text.trim().parse::<u64>().ok());
    most.unwrap_or(TASKS_MOST).saturating_sub(TASKS_RESERVE).clamp(64, TASKS_MOST)
}

/// Never makes a file: what is not there cannot be set.
fn tell(file: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(file)?.write_all(text.as_bytes())
}

/// Every other process but the kernel's own.
fn others() -> impl Iterator<Item = Pid> {
    let own = rustix::process::getpid();
    let entries = read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok().and_then(Pid::from_raw));
    pids.filter(move |pid| {
        let stat = read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        *pid != own && stat.is_ok_and(|stat| !is_kernels(&stat))
    })
}

/// Whether a process is a thread of the kernel's, by its flags in `/proc/<pid>/stat` (`PF_KTHREAD`).
fn is_kernels(stat: &str) -> bool {
    const OF_KERNEL: u64 = 0x0020_0000;
    // Its name, which may hold anything, ends with the last bracket.
    let flags = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & OF_KERNEL != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_the_kernels_by_its_flags_and_not_by_its_name() {
        assert!(is_kernels("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0"));
        assert!(!is_kernels("7 (x) S 0 0 0 0 -1 2129984) R 1 7 7 0 -1 4194560 0"));
        assert!(!is_kernels("nothing"));
    }

    #[test]
    fn a_count_is_that_of_its_whole_name() {
        let list = "low 0\noom 3\noom_kill 2\noom_group_kill 1\n";
        assert_eq!((counted(list, "oom_kill"), counted(list, "oom"), counted(list, "kill")), (2, 3, 0));
        assert_eq!(counted("populated 1\nfrozen 0\n", "populated"), 1);
    }
}
