//! The processes of a build, as `/proc` shows them, and how they are ended.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::super::files;

/// How often a build is frozen again before it is killed: each turn finds what was forked during the last one.
const TURNS: usize = 50;
/// The file in a build's directory that says who its tasks are.
const TASKS: &str = "tasks.json";

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pid: i32,
    /// Clock ticks since boot.
    started: u64,
    boot: String,
}

impl Identity {
    /// Which start of the machine this is.
    pub(crate) fn boot() -> String {
        boot_id()
    }

    /// As a label, good for as long as the machine is not started anew.
    pub(crate) fn to_text(&self) -> String {
        format!("{}-{}", self.pid, self.started)
    }

    /// Reads [`Identity::to_text`].
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (pid, started) = text.trim().split_once('-')?;
        Some(Self { pid: pid.parse().ok()?, started: started.parse().ok()?, boot: boot_id() })
    }

    /// The process with this number now.
    pub(crate) fn of(pid: u32) -> Option<Self> {
        let pid = i32::try_from(pid).ok()?;
        Some(Self { pid, started: Stat::read(pid)?.started, boot: boot_id() })
    }

    /// Whether that very process is still there.
    pub(crate) fn is_alive(&self) -> bool {
        self.boot == boot_id()
            && Stat::read(self.pid).is_some_and(|stat| stat.started == self.started && stat.state != 'Z')
    }

    /// Signals that very process, or none.
    pub(crate) fn signal(&self, signal: Signal) {
        if self.boot == boot_id() {
            send(self.pid, self.started, signal);
        }
    }
}

fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

struct Stat {
    parent: i32,
    started: u64,
    state: char,
}

impl Stat {
    /// `/proc/<pid>/stat`; the name in it may hold anything, so it is read from the last bracket on.
    fn read(pid: i32) -> Option<Self> {
        let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let started = fields.nth(17)?.parse().ok()?;
        Some(Self { parent, started, state })
    }
}

fn processes() -> BTreeMap<i32, Stat> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeMap::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, Stat::read(pid)?))).collect()
}

/// Everything below the given processes, without those themselves.
fn below(roots: &BTreeSet<i32>, all: &BTreeMap<i32, Stat>) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    loop {
        let next: Vec<i32> = all
            .iter()
            .filter(|(pid, stat)| {
                (roots.contains(&stat.parent) || found.contains(&stat.parent))
                    && !roots.contains(pid)
                    && !found.contains(*pid)
            })
            .map(|(pid, _)| *pid)
            .collect();
        if next.is_empty() {
            return found;
        }
        found.extend(next);
    }
}

/// Signals one process through a handle, so that a number that was given out anew is never hit.
fn send(pid: i32, started: u64, signal: Signal) {
    let Some(number) = Pid::from_raw(pid) else { return };
    let Ok(handle) = pidfd_open(number, PidfdFlags::empty()) else { return };
    if Stat::read(pid).is_some_and(|stat| stat.started == started) {
        let _ = pidfd_send_signal(&handle, signal);
    }
}

fn ours() -> BTreeSet<i32> {
    BTreeSet::from([getpid().as_raw_nonzero().get()])
}

/// One signal to everything below this process.
pub(super) fn signal_all(signal: Signal) {
    let all = processes();
    for pid in below(&ours(), &all) {
        if let Some(stat) = all.get(&pid) {
            send(pid, stat.started, signal);
        }
    }
}

/// Stops everything below this process until nothing new turns up, then kills it: what forks faster than it is killed
/// would otherwise win.
pub(super) fn freeze_and_kill() {
    freeze_and_kill_these(|all| below(&ours(), all));
}

fn freeze_and_kill_these(which: impl Fn(&BTreeMap<i32, Stat>) -> BTreeSet<i32>) -> usize {
    let mut frozen: BTreeMap<i32, u64> = BTreeMap::new();
    for _turn in 0..TURNS {
        let all = processes();
        let new: Vec<(i32, u64)> = which(&all)
            .into_iter()
            .filter_map(|pid| all.get(&pid).filter(|stat| stat.state != 'Z').map(|stat| (pid, stat.started)))
            .filter(|(pid, started)| frozen.get(pid) != Some(started))
            .collect();
        if new.is_empty() {
            break;
        }
        for (pid, started) in new {
            send(pid, started, Signal::STOP);
            frozen.insert(pid, started);
        }
    }
    for (pid, started) in &frozen {
        send(*pid, *started, Signal::KILL);
    }
    frozen.len()
}

/// Whether anything lives below this process but these and what is below them.
pub(super) fn any_but(spared: &[i32]) -> bool {
    let all = processes();
    let spared: BTreeSet<i32> = spared.iter().copied().collect();
    let theirs = below(&spared, &all);
    let rest = below(&ours(), &all);
    rest.iter()
        .any(|pid| !spared.contains(pid) && !theirs.contains(pid) && all.get(pid).is_some_and(|stat| stat.state != 'Z'))
}

/// Writes down who a build's tasks are, for [`end_strays`].
pub(super) fn note(dir: &Path, tasks: &[Identity]) -> io::Result<()> {
    files::write_json(&dir.join(TASKS), &tasks)
}

/// Ends what is left of a build whose supervisor is dead: its tasks, what carries its id in its environment or works in
/// its directory, and everything below that. Gives how many processes were hit; call it until there are none.
pub(crate) fn end_strays(build: &str, dir: &Path) -> usize {
    let marks = [format!("ALBATROS_BUILD={build}"), format!("NOMAD_JOB_ID={build}")];
    let tasks: Vec<Identity> = files::read_json(&dir.join(TASKS)).ok().flatten().unwrap_or_default();
    let own = ours();
    freeze_and_kill_these(|all| {
        let noted = tasks.iter().filter(|task| task.is_alive()).map(|task| task.pid);
        let marked = all.keys().copied().filter(|pid| belongs(*pid, &marks, dir));
        let strays: BTreeSet<i32> = noted.chain(marked).filter(|pid| !own.contains(pid)).collect();
        let more = below(&strays, all);
        strays.into_iter().chain(more).filter(|pid| !own.contains(pid)).collect()
    })
}

fn belongs(pid: i32, marks: &[String], dir: &Path) -> bool {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let marked = environment.split(|byte| *byte == 0).any(|var| marks.iter().any(|mark| mark.as_bytes() == var));
    marked
        || std::fs::read_link(format!("/proc/{pid}/cwd"))
            .is_ok_and(|cwd| cwd.as_os_str().as_bytes().starts_with(dir.as_os_str().as_bytes()) && cwd.starts_with(dir))
}
