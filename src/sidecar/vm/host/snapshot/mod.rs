//! A machine as it is when its kernel is up and it is nobody's yet, written to a file once, and begun from there by every
//! run that wants one like it: a kernel whose instructions are translated takes long to come up.
//!
//! There is nothing of a run in it, nor of an image: no disk was looked at, no random numbers were made, the time is told
//! to it later. One of another boot of this node is not taken, so that the addresses in its kernel do not stay the same.

mod monitor;

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::machine::LAST_WORDS;
use super::qemu::{self, Accel, Begin, Parts, QemuError};
use super::runs::Run;
use crate::sidecar::vm::image::{ImageError, Store};
use crate::sidecar::vm::pause::ALIKE;
pub(super) use monitor::{Monitor, MonitorError};

/// Snapshots of another format are made anew.
const FORMAT: &[u8] = b"albatros snapshot v1\0";
/// The kernel is up by then, and all is loaded.
const PAUSED_WITHIN: Duration = Duration::from_secs(120);
/// This boot of the node.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// Free bytes beside what it takes.
const FREE_LEAST: u64 = 1 << 30;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error(transparent)]
    Store(#[from] ImageError),
    #[error(transparent)]
    Qemu(#[from] QemuError),
    #[error(transparent)]
    Monitor(#[from] MonitorError),
    #[error("{} cannot be read", .0.display())]
    Read(PathBuf, #[source] io::Error),
    #[error("there is no room for it: of {} MiB that it may take {} are free in {}", .needed >> 20, .free >> 20, .dir.display())]
    Full { needed: u64, free: u64, dir: PathBuf },
    #[error("the machine was not up within {} s", PAUSED_WITHIN.as_secs())]
    Slow,
    #[error("{0}")]
    Ended(String),
    #[error("{0}")]
    Killed(String),
    #[error("with this kernel all that begin from it would be alike in more than that")]
    NotAlike,
}

/// The snapshots of one kind of machine.
#[derive(Debug)]
pub(super) struct Snapshots<'a> {
    store: &'a Store,
    boot: String,
    key: String,
}

impl SnapshotError {
    /// Whether it will be the same with every machine of these parts.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::NotAlike | Self::Slow | Self::Monitor(_) => true,
            Self::Store(_) | Self::Qemu(_) | Self::Read(..) | Self::Full { .. } | Self::Ended(_) | Self::Killed(_) => {
                false
            }
        }
    }
}

impl<'a> Snapshots<'a> {
    /// Those of machines of exactly these parts, but for their disks.
    pub(super) fn of(parts: &Parts, store: &'a Store) -> Result<Self, SnapshotError> {
        let unread = |path: &Path| {
            let path = path.to_owned();
            move |error| SnapshotError::Read(path, error)
        };
        let boot = std::fs::read_to_string(BOOT).map_err(unread(Path::new(BOOT)))?.trim().to_owned();
        let mut sum = Sha256::new();
        sum.update(FORMAT);
        let mut add = |text: &str| sum.update([&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat());
        add(&boot);
        for path in [&parts.program, &parts.kernel, &parts.initrd] {
            let file = std::fs::metadata(path).map_err(unread(path))?;
            add(&format!("{} {} {} {}.{}", file.dev(), file.ino(), file.len(), file.ctime(), file.ctime_nsec()));
        }
        qemu::args(parts, [0; 5], Accel::Tcg, &Begin::Pause(0)).iter().for_each(|word| add(word));
        Ok(Self { store, boot, key: hex::encode(sum.finalize()) })
    }

    /// The one that is there.
    pub(super) fn find(&self) -> Result<Option<File>, SnapshotError> {
        Ok(self.store.snapshot(&self.key)?)
    }

    /// Whether none can be made, or none can be begun from, on this node as it runs now.
    pub(super) fn have_failed(&self) -> bool {
        self.store.has_no_snapshot(&self.key)
    }

    /// They have, for a reason that will be the same again.
    pub(super) fn fail(&self) {
        self.store.note_no_snapshot(&self.key);
    }

    /// The one that is there is none.
    pub(super) fn remove(&self) {
        self.store.remove_snapshot(&self.key);
    }

    /// Boots a machine of these parts as far as its pause, and keeps it.
    pub(super) async fn make(&self, parts: &Parts, run: &Run) -> Result<File, SnapshotError> {
        let needed = (parts.memory << 20) + FREE_LEAST;
        let space =
            rustix::fs::statvfs(run.dir()).map_err(|error| SnapshotError::Read(run.dir().into(), error.into()))?;
        let free = space.f_bavail.saturating_mul(space.f_frsize);
        if free < needed {
            return Err(SnapshotError::Full { needed, free, dir: run.dir().to_owned() });
        }
        let store = self.store.clone();
        let draft = in_background(move || store.snapshot_draft()).await?;
        let mut paused = qemu::pause(parts, run)?;
        let said = timeout(PAUSED_WITHIN, paused.machine.hear()).await.map_err(|_elapsed| SnapshotError::Slow)?;
        let saved = match said {
            Ok(ALIKE) => paused.monitor.save(draft.file()).await.map_err(SnapshotError::from),
            Ok(_) => Err(SnapshotError::NotAlike),
            Err(how) => Err(SnapshotError::Ended(how)),
        };
        if let Err(error) = saved {
            paused.machine.end(LAST_WORDS).await;
            let how = paused.machine.ended().await;
            return Err(if paused.machine.was_killed() { SnapshotError::Killed(how) } else { error });
        }
        paused.machine.end(Duration::ZERO).await;
        let (store, key, boot) = (self.store.clone(), self.key.clone(), self.boot.clone());
        in_background(move || store.add_snapshot(draft, &key, &boot)).await
    }
}

/// What waits for a lock of the store is not to keep signals waiting.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, SnapshotError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(SnapshotError::Ended(error.to_string())),
    }
}
