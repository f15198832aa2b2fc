//! The store's folder: who may change it, what is half-made in it, and what is held.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Timestamps};
use rustix::io::Errno;

use super::super::error::{ImageError, failed};

/// Changes of the store are short: renames, and names of a few bytes.
const LOCK_LIMIT: Duration = Duration::from_secs(60);
const LOCK_EVERY: Duration = Duration::from_millis(10);
/// Looking whether something is held is shorter still.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Of a file that everybody reads.
const READABLE: u32 = 0o644;

/// Something of the store that stays as long as this is there.
#[derive(Debug)]
pub(in super::super) struct Held {
    open: File,
}

/// The right to change the store.
#[derive(Debug)]
pub(super) struct Changing {
    _lock: File,
}

/// A place for what is not whole yet. Dropped, or left by a process that ended, all in it goes.
#[derive(Debug)]
pub(in super::super) struct Draft {
    path: PathBuf,
    _lock: File,
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What stays goes with the next opening of the store.
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Draft {
    pub(in super::super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Held {
    /// Gives the folder new times.
    pub(super) fn touch(&self, times: &Timestamps) -> io::Result<()> {
        Ok(rustix::fs::futimens(&self.open, times)?)
    }

    /// Holds a folder; none if it is gone, or about to go. Who only looks whether it is held has it for a moment.
    pub(super) fn shared(dir: &Path) -> Result<Option<Self>, ImageError> {
        let mut waited = Duration::ZERO;
        loop {
            let held = lock(dir, FlockOperation::NonBlockingLockShared)?;
            if held.is_some() || waited >= LOOK_LIMIT || !dir.is_dir() {
                return Ok(held);
            }
            std::thread::sleep(LOCK_EVERY);
            waited += LOCK_EVERY;
        }
    }

    /// Holds it alone; none if somebody else has it.
    pub(super) fn alone(dir: &Path) -> Result<Option<Self>, ImageError> {
        lock(dir, FlockOperation::NonBlockingLockExclusive)
    }
}

fn lock(path: &Path, how: FlockOperation) -> Result<Option<Held>, ImageError> {
    let open = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        open => open.map_err(failed(path, "opened"))?,
    };
    match rustix::fs::flock(&open, how) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        locked => locked.map_err(failed(path, "locked"))?,
    }
    Ok(is_still_there(&open, path)?.then_some(Held { open }))
}

/// It may have been moved away between opening and locking, and another one may stand there.
fn is_still_there(open: &File, path: &Path) -> Result<bool, ImageError> {
    let mine = open.metadata().map_err(failed(path, "opened"))?;
    let there = fs::metadata(path).ok();
    Ok(there.is_some_and(|there| (there.dev(), there.ino()) == (mine.dev(), mine.ino())))
}

/// Locks a file alone; none where somebody else has it, or has just taken it away.
pub(super) fn try_alone(path: &Path) -> Result<Option<File>, ImageError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(failed(path, "opened"))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(is_still_there(&file, path)?.then_some(file)),
        Err(Errno::WOULDBLOCK | Errno::INTR) => Ok(None),
        Err(error) => Err(ImageError::file(path, "locked", error)),
    }
}

/// Locks a file alone, within `limit`; none if that is over.
pub(super) fn wait_for(path: &Path, limit: Duration) -> Result<Option<File>, ImageError> {
    let mut waited = Duration::ZERO;
    loop {
        let locked = try_alone(path)?;
        if locked.is_some() || waited >= limit {
            return Ok(locked);
        }
        std::thread::sleep(LOCK_EVERY);
        waited += LOCK_EVERY;
    }
}

/// The store's folder and those in it.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    pub(super) dir: PathBuf,
}

impl Folder {
    /// Makes what is missing. A store that may only be read is opened all the same.
    pub(super) fn open(dir: &Path) -> Result<Self, ImageError> {
        let dir = std::path::absolute(dir).map_err(failed(dir, "opened"))?;
        let folder = Self { dir };
        for name in ["images", "kernels", "initrds", "snapshots", "names", "pulls", "tmp"] {
            let path = folder.dir.join(name);
            match fs::create_dir_all(&path) {
                Ok(()) => {}
                Err(_read_only) if path.is_dir() => {}
                Err(error) => return Err(ImageError::file(&path, "made", error)),
            }
        }
        Ok(folder)
    }

    pub(super) fn images(&self) -> PathBuf {
        self.dir.join("images")
    }

    pub(super) fn image(&self, digest: &str) -> PathBuf {
        self.images().join(digest)
    }

    pub(super) fn kernels(&self) -> PathBuf {
        self.dir.join("kernels")
    }

    pub(super) fn initrds(&self) -> PathBuf {
        self.dir.join("initrds")
    }

    pub(super) fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    pub(super) fn names(&self) -> PathBuf {
        self.dir.join("names")
    }

    fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// Waits until nobody else changes the store.
    pub(super) fn change(&self) -> Result<Changing, ImageError> {
        let path = self.dir.join("lock");
        let lock = wait_for(&path, LOCK_LIMIT)?;
        let slow = || ImageError::file(&path, "locked", io::Error::from(io::ErrorKind::TimedOut));
        Ok(Changing { _lock: lock.ok_or_else(slow)? })
    }

    /// A new place for what is not whole yet.
    pub(super) fn draft(&self) -> Result<Draft, ImageError> {
        // Nobody sweeps between making and locking it.
        let _changing = self.change()?;
        let path = self.tmp().join(random()?);
        fs::create_dir(&path).map_err(failed(&path, "made"))?;
        let lock = File::open(&path).map_err(failed(&path, "opened"))?;
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(failed(&path, "locked"))?;
        Ok(Draft { path, _lock: lock })
    }

    /// Removes what processes that ended have left half-made.
    pub(super) fn sweep(&self) -> Result<(), ImageError> {
        let left: Vec<(PathBuf, Held)> = {
            let _changing = self.change()?;
            let entries = fs::read_dir(self.tmp()).map_err(failed(&self.tmp(), "read"))?.flatten();
            let free = entries.filter_map(|entry| Some((entry.path(), Held::alone(&entry.path()).ok()??)));
            free.collect()
        };
        for (path, _held) in left {
            fs::remove_dir_all(&path).map_err(failed(&path, "removed"))?;
        }
        Ok(())
    }

    /// Takes a folder away; it is gone at once, and emptied when `changing` is over.
    pub(super) fn take_away(&self, path: &Path, draft: &Draft) -> Result<(), ImageError> {
        let gone = draft.path.join(random()?);
        fs::rename(path, &gone).map_err(failed(path, "removed"))
    }

    /// Takes a folder away that nobody holds and that is not wanted. From before the question until it is away nobody can
    /// take it up: who wants it then finds none, and makes it anew.
    pub(super) fn take_unheld(
        &self,
        path: &Path,
        draft: &Draft,
        is_unwanted: impl FnOnce() -> Result<bool, ImageError>,
    ) -> Result<(), ImageError> {
        let Some(_alone) = Held::alone(path)? else { return Ok(()) };
        if is_unwanted()? { self.take_away(path, draft) } else { Ok(()) }
    }

    /// Puts the whole folder `made` at its place; if there is one already, that one stays.
    pub(super) fn settle(&self, made: &Path, place: &Path) -> Result<(), ImageError> {
        for entry in fs::read_dir(made).map_err(failed(made, "read"))?.flatten() {
            sync(&entry.path())?;
        }
        sync(made)?;
        self.put(made, place)?;
        place.parent().map_or(Ok(()), sync)
    }

    /// The same for what need not survive a loss of power.
    pub(super) fn put(&self, made: &Path, place: &Path) -> Result<(), ImageError> {
        match fs::rename(made, place) {
            Err(_there) if place.is_dir() => Ok(()),
            put => put.map_err(failed(place, "put in place")),
        }
    }

    /// Writes a small file so that it is there whole, or as it was.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], draft: &Draft) -> Result<(), ImageError> {
        let made = draft.path.join(random()?);
        let mut file = File::create(&made).map_err(failed(&made, "made"))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(failed(&made, "written"))?;
        fs::rename(&made, path).map_err(failed(path, "put in place"))?;
        path.parent().map_or(Ok(()), sync)
    }
}

/// Lets everybody read a file of the store: a machine's process is nobody, and opens it anew. There is no secret in it,
/// though its source may be one (`/boot/vmlinuz` is root's alone on Ubuntu).
pub(in super::super) fn show(path: &Path) -> Result<(), ImageError> {
    let mode = fs::metadata(path).map_err(failed(path, "read"))?.permissions().mode();
    if mode & READABLE == READABLE {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(READABLE)).map_err(failed(path, "made readable"))
}

/// What is written there survives a loss of power.
fn sync(path: &Path) -> Result<(), ImageError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed(path, "written"))
}

fn random() -> Result<String, ImageError> {
    let mut bytes = [0; 8];
    let failed = |error: getrandom::Error| ImageError::file(Path::new("/dev/urandom"), "read", io::Error::other(error));
    getrandom::fill(&mut bytes).map_err(failed)?;
    Ok(hex::encode(bytes))
}
