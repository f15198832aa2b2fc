//! Where a folder comes back to: what could keep it from there is found before the script starts.

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FlockOperation, Mode, OFlags, RenameFlags, StatxAttributes, StatxFlags, flock, open, renameat_with,
    statx,
};
use rustix::io::Errno;
use tempfile::TempDir;

use crate::sidecar::vm::DRAFT;

/// A folder that is replaced while it is taken is looked up again; one that is replaced so often is in use.
const LOOKS: usize = 5;

/// Why a folder cannot come back.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlaceError {
    #[error(
        "{} is where another file system begins, or a folder is bound, so that another folder cannot take its place when \
         the script has ended: mount a folder in it, or without :rw", .0.display()
    )]
    Mounted(PathBuf),
    #[error(
        "{} is another run's, or is mounted twice: one run at a time has a folder with :rw; wait for that one's end, or \
         mount without :rw", .0.display()
    )]
    Taken(PathBuf),
    #[error("{} cannot be opened", .0.display())]
    Open(PathBuf, #[source] io::Error),
}

/// A folder that another one takes the place of.
#[derive(Debug)]
pub(super) struct Place {
    at: PathBuf,
    draft: PathBuf,
    _held: Option<File>,
}

impl Place {
    /// One that is this build's alone. `run` and `id` name its draft.
    pub(super) fn own(at: &Path, run: &str, id: &str) -> Result<Self, PlaceError> {
        if is_mount_point(at) {
            return Err(PlaceError::Mounted(at.to_owned()));
        }
        let above = at.parent().unwrap_or(Path::new("/"));
        Ok(Self { at: at.to_owned(), draft: above.join(format!("{DRAFT}{run}-{id}")), _held: None })
    }

    /// One of the node's: nobody else has it as long as this is there.
    pub(super) fn shared(at: &Path, run: &str, id: &str) -> Result<Self, PlaceError> {
        let mut it = Self::own(at, run, id)?;
        it._held = Some(hold(at)?);
        Ok(it)
    }

    /// What is in the making beside it; whoever finds it without the run may remove it.
    pub(super) fn draft(&self) -> &Path {
        &self.draft
    }

    /// Makes the draft; it goes with the answer.
    pub(super) fn begin(&self) -> io::Result<TempDir> {
        let (above, name) = (self.draft.parent(), self.draft.file_name());
        let (above, name) = above.zip(name).ok_or(io::ErrorKind::InvalidInput)?;
        tempfile::Builder::new().prefix(name).rand_bytes(0).tempdir_in(above)
    }

    /// Puts a folder of the draft there. What was there goes with the draft.
    pub(super) fn put(&self, new: &Path) -> io::Result<()> {
        as_it_was(&self.at, new)?;
        exchange(new, &self.at)
    }
}

/// Locks the folder that is there now: who had it before has put another one in its place.
fn hold(at: &Path) -> Result<File, PlaceError> {
    let failed = |error| PlaceError::Open(at.to_owned(), error);
    for _ in 0..LOOKS {
        let folder = File::open(at).map_err(failed)?;
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => break,
            Err(error) => return Err(failed(error.into())),
        }
        let (mine, there) = (folder.metadata().map_err(failed)?, std::fs::metadata(at).map_err(failed)?);
        if (mine.dev(), mine.ino()) == (there.dev(), there.ino()) {
            return Ok(folder);
        }
    }
    Err(PlaceError::Taken(at.to_owned()))
}

/// Whose the old one was is whose the new one is, and who else may look into it. Nothing else of its mode: what a script
/// has made is to get no other group or user for that.
fn as_it_was(old: &Path, new: &Path) -> io::Result<()> {
    let (was, is) = (std::fs::metadata(old)?, std::fs::metadata(new)?);
    if (was.uid(), was.gid()) != (is.uid(), is.gid()) {
        chown(new, Some(was.uid()), Some(was.gid()))?;
    }
    std::fs::set_permissions(new, Permissions::from_mode(was.mode() & 0o777))
}

/// Whether something is mounted there: it cannot be exchanged for a folder of the file system above. A folder that is
/// bound to another place has the file system of that one, so that the kernel is asked first.
fn is_mount_point(folder: &Path) -> bool {
    let told = statx(CWD, folder, AtFlags::empty(), StatxFlags::empty());
    if let Ok(told) = told
        && told.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT)
    {
        return told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    }
    let device = |path: &Path| std::fs::metadata(path).map(|data| data.dev());
    match (device(folder), device(&folder.join(".."))) {
        (Ok(own), Ok(above)) => own != above,
        // It is told where it is read.
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// Puts a folder where another one is, at once and without following a link; the other one goes with the draft.
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    let _is_folder: OwnedFd =
        open(old, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Err(Errno::INVAL | Errno::NOSYS) => {
            // A file system that cannot exchange: for a moment there is none.
            let aside = new.with_file_name("old");
            std::fs::rename(old, aside)?;
            std::fs::rename(new, old)
        }
        exchanged => exchanged.map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_where_something_is_mounted_is_refused_before_also_of_the_same_file_system() {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        // Of a place that is mounted over twice only the last one is seen; those of the kernel are enough. The root of all
        // is on the same file system as what is above it, which is itself.
        let places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
        let places: Vec<_> = places.filter(|place| ["/", "/proc", "/dev"].contains(place)).collect();
        assert!(places.contains(&"/proc"));
        for place in places {
            let refused = Place::own(Path::new(place), "r", "m0");
            assert!(matches!(refused, Err(PlaceError::Mounted(_))), "{place}: {refused:?}");
        }
        let dir = tempfile::tempdir().unwrap();
        let place = Place::own(&dir.path().join("."), "r", "m0").unwrap();
        assert!(place.draft().ends_with(".albatros-out-r-m0"));
    }

    #[test]
    fn a_folder_of_the_node_is_one_runs_at_a_time_also_after_it_was_exchanged() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("cache");
        std::fs::create_dir(&at).unwrap();
        let first = Place::shared(&at, "a", "m0").unwrap();
        let refused = Place::shared(&at, "b", "m0").unwrap_err().to_string();
        assert!(refused.contains("one run at a time"), "{refused}");
        let draft = first.begin().unwrap();
        let new = draft.path().join("files");
        std::fs::create_dir(&new).unwrap();
        first.put(&new).unwrap();
        let second = Place::shared(&at, "b", "m0").unwrap();
        drop(first);
        assert!(Place::shared(&at, "c", "m0").is_err());
        drop(second);
        assert!(Place::shared(&at, "c", "m0").is_ok());
    }

    #[test]
    fn what_comes_back_has_the_rights_of_what_was_there_and_no_set_group() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        std::fs::create_dir(&old).unwrap();
        std::fs::create_dir(&new).unwrap();
        std::fs::set_permissions(&old, Permissions::from_mode(0o2751)).unwrap();
        as_it_was(&old, &new).unwrap();
        assert_eq!(std::fs::metadata(&new).unwrap().mode() & 0o7777, 0o751);
    }
}
