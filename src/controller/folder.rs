//! The build's shared directory: what the controller puts there and takes away again.
//!
//! Everything goes through the directory as it was opened, so that paths may be longer than a socket's address can hold,
//! and so that a script that moves things about changes nothing.

use std::io::Write as _;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, chmodat, fchmod, fstat, open, openat, renameat, unlinkat};
use rustix::io::Errno;
use tokio::net::UnixListener;

use crate::api::controller::Reach;

/// Readable and writable by its owner.
pub(super) const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Readable by anybody, whatever user an image runs as.
pub(super) const READABLE: Mode = PRIVATE.union(Mode::RGRP).union(Mode::ROTH);
/// Anybody may connect.
pub(super) const SHARED: Mode = READABLE.union(Mode::WGRP).union(Mode::WOTH);

/// A directory that stays the same one whatever happens to its path.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

impl Folder {
    pub(super) fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self(open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// A new socket; one that an earlier process left there goes.
    pub(super) fn bind(&self, name: &str, mode: Mode) -> std::io::Result<UnixListener> {
        self.remove(name)?;
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{name}", self.0.as_raw_fd()))?;
        chmodat(&self.0, name, mode, AtFlags::empty())?;
        Ok(listener)
    }

    /// A new file, there with all that it holds or not at all.
    pub(super) fn write(&self, name: &str, mode: Mode, text: &str) -> std::io::Result<()> {
        let unfinished = format!(".{name}.new");
        self.remove(&unfinished)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = openat(&self.0, unfinished.as_str(), flags, PRIVATE)?;
        // Not at its making: the process's umask would have a say.
        fchmod(&file, mode)?;
        std::fs::File::from(file).write_all(text.as_bytes())?;
        Ok(renameat(&self.0, unfinished.as_str(), &self.0, name)?)
    }

    /// The socket of a name: itself, never what a link leads to, and nothing that is at home elsewhere.
    pub(super) fn socket(&self, name: &str) -> std::io::Result<Reach> {
        let socket = openat(&self.0, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        let (found, home) = (fstat(&socket)?, fstat(&self.0)?);
        let own = FileType::from_raw_mode(found.st_mode) == FileType::Socket && found.st_nlink == 1;
        if own && found.st_dev == home.st_dev {
            return Ok(Reach::opened(socket));
        }
        Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no socket of this build"))
    }

    /// Takes a name away; that there is none is fine.
    pub(super) fn remove(&self, name: &str) -> std::io::Result<()> {
        match unlinkat(&self.0, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
