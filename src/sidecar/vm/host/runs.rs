//! The folder of a run, and what is left of runs whose process was killed.
//!
//! `<store>/runs/<id>/`: `lock` (held as long as the run's process lives), `process` (which one the machine is),
//! `scratch.ext4`, `drafts` (what it makes elsewhere). `<store>/runs/.lock` is held while a folder is made or swept away.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::time::{Instant, sleep};

use super::krun;
use crate::sidecar::vm::DRAFT;

/// In a run's folder.
const LOCK: &str = "lock";
/// The same: the machine's process and when that was started.
const PROCESS: &str = "process";
/// The same: paths of folders that it makes beside those that come back, each with a zero byte behind it.
const DRAFTS: &str = "drafts";
/// Other runs are made or swept for so long at most.
const LOCKED_WITHIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// A run's own folder; it goes with it.
#[derive(Debug)]
pub(super) struct Run {
    id: String,
    dir: PathBuf,
    _lock: File,
}

impl Drop for Run {
    fn drop(&mut self) {
        // The next start removes what cannot be removed now.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Run {
    /// Removes what dead runs have left, and makes a new one.
    pub(super) async fn begin(store: &Path, id: String) -> io::Result<Self> {
        let runs = store.join("runs");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&runs)?;
        let _all = all(&runs).await?;
        for entry in std::fs::read_dir(&runs)?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                sweep(&entry.path()).await;
            }
        }
        let dir = runs.join(&id);
        std::fs::DirBuilder::new().mode(0o700).create(&dir)?;
        let lock = private(&dir.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self { id, dir, _lock: lock })
    }

    /// What it is called.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Where it is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file of it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Notes, before it makes them, the folders that it makes elsewhere: should it be killed, the next run removes them.
    pub(super) fn note_drafts<'a>(&self, drafts: impl Iterator<Item = &'a Path>) -> io::Result<()> {
        let mut all = Vec::new();
        for draft in drafts {
            all.extend_from_slice(draft.as_os_str().as_bytes());
            all.push(0);
        }
        std::fs::write(self.file(DRAFTS), all)
    }

    /// Where [`super::keep`] writes which process the machine is.
    pub(super) fn process(&self) -> PathBuf {
        self.file(PROCESS)
    }
}

/// A file of ours that nobody else reads.
pub(super) fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

async fn all(runs: &Path) -> io::Result<File> {
    let file = private(&runs.join(".lock"))?;
    let end = Instant::now() + LOCKED_WITHIN;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(Errno::WOULDBLOCK) if Instant::now() < end => sleep(LOOK).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Ends and removes a run, unless its process lives.
async fn sweep(dir: &Path) {
    // A folder without a lock is one whose maker was killed in between: nobody makes one while this runs.
    let dead = match File::open(dir.join(LOCK)) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !dead {
        return;
    }
    if let Ok(mark) = std::fs::read_to_string(dir.join(PROCESS)) {
        kill(&mark);
    }
    krun::remove(dir).await;
    for draft in std::fs::read(dir.join(DRAFTS)).unwrap_or_default().split(|byte| *byte == 0) {
        let draft = Path::new(OsStr::from_bytes(draft));
        let name = draft.file_name().unwrap_or_default();
        // The note of a run that was killed while it wrote may end anywhere.
        if draft.is_absolute() && name.as_bytes().starts_with(DRAFT.as_bytes()) {
            let _ = std::fs::remove_dir_all(draft);
        }
    }
    // Otherwise again at the next start.
    let _ = std::fs::remove_dir_all(dir);
}

/// Kills the very process that a mark is of: another one of its number was started at another time.
fn kill(mark: &str) {
    let Some((number, begun)) = mark.trim().split_once(' ') else { return };
    let Some(pid) = number.parse().ok().filter(|number| *number > 0).and_then(Pid::from_raw) else { return };
    // The descriptor first: what is looked at then is what will be killed.
    let Ok(process) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    if started(pid).is_some_and(|started| started == begun) {
        let _ = pidfd_send_signal(&process, Signal::KILL);
    }
}

/// The mark of a process: its number, and when it was started.
pub(super) fn mark(pid: Pid) -> Option<String> {
    Some(format!("{} {}", pid.as_raw_pid(), started(pid)?))
}

/// In clock ticks since the node's start: the 22nd word of `/proc/<pid>/stat` (see proc(5)), of which the second may hold
/// anything in brackets.
fn started(pid: Pid) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn process() -> Child {
        Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().unwrap()
    }

    fn dead_run(store: &Path, mark: &str) -> PathBuf {
        let dir = store.join("runs").join("dead");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(LOCK), "").unwrap();
        std::fs::write(dir.join(PROCESS), mark).unwrap();
        std::fs::write(dir.join("scratch.ext4"), "x").unwrap();
        dir
    }

    #[tokio::test]
    async fn a_run_goes_with_its_folder_and_one_that_lives_is_left_alone() {
        let store = tempfile::tempdir().unwrap();
        let first = Run::begin(store.path(), "a".to_owned()).await.unwrap();
        let second = Run::begin(store.path(), "b".to_owned()).await.unwrap();
        assert!(first.file(LOCK).exists() && second.file(LOCK).exists());
        let dir = first.file("");
        drop(first);
        assert!(!dir.exists() && second.file(LOCK).exists());
    }

    #[tokio::test]
    async fn the_machine_of_a_dead_run_is_killed_and_nothing_of_it_is_left() {
        let store = tempfile::tempdir().unwrap();
        let mut machine = process();
        let dir = dead_run(store.path(), &mark(Pid::from_child(&machine)).unwrap());
        let _run = Run::begin(store.path(), "new".to_owned()).await.unwrap();
        assert!(!dir.exists());
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&machine.wait().unwrap()), Some(9));
    }

    #[tokio::test]
    async fn what_a_dead_run_was_making_elsewhere_goes_and_nothing_else() {
        let (store, node) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let names = [".albatros-out-dead-m0", "cache", ".albatros-out-alive-m0"];
        let folders = names.map(|name| node.path().join(name));
        for folder in &folders {
            std::fs::create_dir_all(folder.join("files")).unwrap();
        }
        let alive = Run::begin(store.path(), "alive".to_owned()).await.unwrap();
        alive.note_drafts([folders[2].as_path()].into_iter()).unwrap();
        let mut dead = Run::begin(store.path(), "dead".to_owned()).await.unwrap();
        dead.note_drafts(folders[..2].iter().map(PathBuf::as_path)).unwrap();
        // Its lock goes as that of a process that was killed.
        dead._lock = File::open("/dev/null").unwrap();
        let dead = std::mem::ManuallyDrop::new(dead);
        let _new = Run::begin(store.path(), "new".to_owned()).await.unwrap();
        assert!(!dead.dir().exists());
        assert_eq!(folders.map(|folder| folder.exists()), [false, true, true]);
    }

    #[tokio::test]
    async fn another_process_of_the_same_number_lives_on() {
        let store = tempfile::tempdir().unwrap();
        let mut other = process();
        let dir = dead_run(store.path(), &format!("{} 1", other.id()));
        for mark in ["", "x y", "-1 1", "0 1"] {
            kill(mark);
        }
        let _run = Run::begin(store.path(), "new".to_owned()).await.unwrap();
        assert!(!dir.exists());
        assert!(other.try_wait().unwrap().is_none());
        other.kill().unwrap();
        other.wait().unwrap();
    }
}
