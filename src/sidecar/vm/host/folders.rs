//! Folders of this node on their way into a machine, and back.

use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use rustix::fs::{CWD, Mode, OFlags, RenameFlags, open, renameat_with};
use rustix::io::Errno;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::super::link::Stream;
use crate::domain::blob::Packing;
use crate::sidecar::pack::{Incoming, Limits, PackError, Packed, Selection};

/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// No byte of a folder comes for so long.
const STILL: Duration = Duration::from_secs(60);

/// Why a folder did not come through.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("the machine has broken it off")]
    Cut(#[source] io::Error),
    #[error("nothing of it has come for {} s", STILL.as_secs())]
    Still,
    #[error("it could not be put in place")]
    Place(#[source] io::Error),
}

/// Why a folder cannot go in.
#[derive(Debug, thiserror::Error)]
pub(super) enum LuggageError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(
        "{} is where another file system begins, so that another folder cannot take its place when the script has ended: \
         mount a folder in it, or without :rw", .0.display()
    )]
    Mounted(PathBuf),
}

/// One that goes in, and may come back.
#[derive(Debug)]
pub(super) struct Folder {
    /// Names its stream.
    pub(super) id: String,
    /// What of it goes in.
    pub(super) files: Selection,
    /// Where it goes when it comes back; none: it stays as it is.
    pub(super) back: Option<PathBuf>,
}

impl Folder {
    /// All of a folder.
    pub(super) fn whole(id: &str, from: &Path, back: bool, limits: Limits) -> Result<Self, LuggageError> {
        if back && is_mount_point(from) {
            return Err(LuggageError::Mounted(from.to_owned()));
        }
        let files = Selection::beneath(from, &[PathBuf::new()], limits)?.into_archive();
        Ok(Self { id: id.to_owned(), files, back: back.then(|| from.to_owned()) })
    }
}

/// Sends a folder into the machine.
pub(super) async fn send(files: &Selection, mut to: Stream) -> Result<(), FolderError> {
    let (pieces, verdict) = files.start()?.into_stream();
    let mut pieces = std::pin::pin!(pieces);
    while let Some(Ok(piece)) = pieces.next().await {
        to.write_all(&piece).await.map_err(FolderError::Cut)?;
    }
    match verdict.take() {
        // Given up, not ended: what is not whole is not taken for it.
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => to.shutdown().await.map_err(FolderError::Cut),
    }
}

/// Takes a folder out of the machine: all of it, or nothing. What was there before is gone then.
pub(super) async fn take(mut from: Stream, place: &Path, limits: Limits) -> Result<Packed, FolderError> {
    let above = place.parent().unwrap_or(Path::new("/"));
    let fresh = tempfile::Builder::new().prefix(".albatros-out-").tempdir_in(above).map_err(FolderError::Place)?;
    let into = fresh.path().join("files");
    std::fs::create_dir(&into).map_err(FolderError::Place)?;
    let mut incoming = Incoming::start(&into, Packing::Archive, "files", limits)?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = timeout(STILL, from.read(&mut piece)).await.map_err(|_elapsed| FolderError::Still)?;
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                // What was begun is put away before this is told: no such size comes.
                let _ = incoming.finish(Some(u64::MAX), None).await;
                return Err(FolderError::Cut(error));
            }
        };
        let bytes = Bytes::copy_from_slice(piece.get(..read).unwrap_or_default());
        // It was refused: no more of it is needed to say so.
        if read == 0 || !incoming.feed(bytes).await {
            break;
        }
    }
    let packed = incoming.finish(None, None).await?;
    as_it_was(place, &into).map_err(FolderError::Place)?;
    exchange(&into, place).map_err(FolderError::Place)?;
    Ok(packed)
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

/// Whether another file system begins there: it cannot be exchanged for a folder of the one above.
fn is_mount_point(folder: &Path) -> bool {
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
    fn a_folder_that_is_a_file_system_does_not_come_back_and_is_refused_before() {
        let refused = Folder::whole("m0", Path::new("/proc"), true, Limits::default());
        assert!(matches!(refused, Err(LuggageError::Mounted(_))), "{refused:?}");
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::whole("m0", dir.path(), true, Limits::default()).unwrap();
        assert_eq!(folder.back.as_deref(), Some(dir.path()));
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
