//! Where an archive is unpacked: a directory of our own beneath the target, which goes with all it holds unless every
//! thing in it has found its place.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, Timespec, Timestamps, chmodat, fchmod, futimens, linkat, mkdirat, renameat,
    statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::error::{PackError, Why};
use super::read::{Kind, Member};
use super::{Links, beneath, names};
use crate::sidecar::trusted::directory;

/// A directory that is open to nobody else.
#[derive(Debug)]
pub(super) struct Staging {
    path: PathBuf,
    name: String,
    target: OwnedFd,
    dir: OwnedFd,
    /// The directory of the last member: the next one is likely to be there too.
    last: Option<(Vec<u8>, OwnedFd)>,
    links: Links,
}

const IN_IT: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

impl Drop for Staging {
    fn drop(&mut self) {
        // Empty, unless the unpacking has failed; then nobody is left who could do more about it.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

impl Staging {
    /// A new one in `target`, which is made where it is missing.
    pub(super) fn new(target: &Path, links: Links) -> Result<Self, PackError> {
        let shown = target.as_os_str().as_bytes();
        let failed = |error: io::Error| PackError::file(shown, "written to", error);
        std::fs::create_dir_all(target).map_err(failed)?;
        let open = directory(target).map_err(failed)?;
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| failed(io::Error::other(error.to_string())))?;
        let name = format!(".albatros-{}", hex::encode(random));
        mkdirat(&open, name.as_str(), Mode::RWXU).map_err(|error| failed(error.into()))?;
        let path = target.join(&name);
        let dir = beneath::open(&open, name.as_bytes(), IN_IT, Mode::empty()).map_err(|error| failed(error.into()))?;
        Ok(Self { path, name, target: open, dir, last: None, links })
    }

    /// A new file; one of that name goes.
    pub(super) fn file(&mut self, path: &[u8]) -> Result<File, PackError> {
        let failed = |error: Errno| PackError::file(path, "written", error);
        let (above, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = beneath::open(above, &name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?;
        Ok(file.into())
    }

    /// Its mode and its time, when it is whole.
    pub(super) fn finish(file: &File, member: &Member, path: &[u8]) -> Result<(), PackError> {
        let failed = |error: Errno| PackError::file(path, "written", error);
        fchmod(file, Mode::from_raw_mode(member.mode & 0o777 | 0o444)).map_err(failed)?;
        let at = Timespec { tv_sec: i64::try_from(member.mtime).unwrap_or_default(), tv_nsec: 0 };
        futimens(file, &Timestamps { last_access: at, last_modification: at }).map_err(failed)
    }

    /// Everything but a file.
    pub(super) fn add(&mut self, member: &Member, path: &[u8]) -> Result<(), PackError> {
        let failed = |error: Errno| PackError::file(path, "made", error);
        match member.kind {
            Kind::Directory => {
                self.directory(path, path)?;
                let mode = Mode::from_raw_mode(member.mode & 0o777 | 0o755);
                chmodat(&self.dir, path, mode, AtFlags::empty()).map_err(failed)
            }
            Kind::Link => {
                if self.links == Links::Inside && !names::stays_inside(path, &member.link) {
                    return Err(PackError::refused(path, Why::Outward(names::Name::of(&member.link))));
                }
                let (above, name) = self.place(path)?;
                symlinkat(member.link.as_slice(), above, name.as_slice()).map_err(failed)
            }
            Kind::Twin => self.twin(member, path),
            // Refused before, or written by who has what they hold.
            Kind::File | Kind::Device | Kind::Fifo => Ok(()),
        }
    }

    /// A second name of a file that the archive has brought.
    fn twin(&mut self, member: &Member, path: &[u8]) -> Result<(), PackError> {
        let outward = || PackError::refused(path, Why::Outward(names::Name::of(&member.link)));
        let first = names::plain(&member.link).map_err(|_refused| outward())?;
        let (above, name) = names::split(&first);
        let there = beneath::open(&self.dir, above, OFlags::PATH | OFlags::DIRECTORY, Mode::empty());
        let there = there.map_err(|_not_there| outward())?;
        let stat = statat(&there, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|_not_there| outward())?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(outward());
        }
        if first == path {
            return Ok(());
        }
        let (above, last) = self.place(path)?;
        let linked = linkat(&there, name, above, last.as_slice(), AtFlags::empty());
        linked.map_err(|error| PackError::file(path, "made", error))
    }

    /// The directory for `path`, where nothing of that name stands any more, and the name in it.
    fn place(&mut self, path: &[u8]) -> Result<(&OwnedFd, Vec<u8>), PackError> {
        let (above, name) = names::split(path);
        let is_last = self.last.as_ref().is_some_and(|(last, _)| last == above);
        if !is_last {
            let open = self.directory(above, path)?;
            self.last = Some((above.to_owned(), open));
        }
        let above = self.last.as_ref().map_or(&self.dir, |(_, open)| open);
        match unlinkat(above, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok((above, name.to_owned())),
            Err(Errno::ISDIR) => Err(PackError::refused(path, Why::InTheWay)),
            Err(error) => Err(PackError::file(path, "written", error)),
        }
    }

    /// A directory of ours, made with all above it where it is missing, for the member `whole`.
    fn directory(&self, path: &[u8], whole: &[u8]) -> Result<OwnedFd, PackError> {
        let refused = |error: Errno| match error {
            Errno::LOOP | Errno::NOTDIR => PackError::refused(whole, Why::Through),
            error => PackError::file(whole, "made", error),
        };
        match beneath::open(&self.dir, path, IN_IT, Mode::empty()) {
            Err(Errno::NOENT) => {}
            opened => return opened.map_err(refused),
        }
        let mut at = self.dir.as_fd().try_clone_to_owned().map_err(|error| PackError::file(whole, "made", error))?;
        for part in path.split(|byte| *byte == b'/') {
            match mkdirat(&at, part, Mode::from_raw_mode(0o755)) {
                Ok(()) => chmodat(&at, part, Mode::from_raw_mode(0o755), AtFlags::empty()).map_err(refused)?,
                Err(Errno::EXIST) => {}
                Err(error) => return Err(refused(error)),
            }
            at = beneath::open(&at, part, IN_IT, Mode::empty()).map_err(refused)?;
        }
        Ok(at)
    }

    /// Puts everything in its place: files in place of files, directories into directories. Looked at first, so that
    /// what cannot be done is refused before anything is.
    pub(super) fn settle(&self) -> Result<(), PackError> {
        for act in [false, true] {
            self.merge(&self.dir, &self.target, b"", act)?;
        }
        Ok(())
    }

    fn merge(&self, from: &OwnedFd, to: &OwnedFd, path: &[u8], act: bool) -> Result<(), PackError> {
        let failed = |error: Errno| PackError::file(path, "put in place", error);
        let entries = Dir::read_from(from).map_err(failed)?.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        for entry in entries {
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || name.to_bytes() == self.name.as_bytes() {
                continue;
            }
            let path = names::join(path, name.to_bytes());
            let failed = |error: Errno| PackError::file(&path, "put in place", error);
            let is_directory = |at: &OwnedFd| {
                let stat = statat(at, name, AtFlags::SYMLINK_NOFOLLOW)?;
                Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
            };
            let ours = is_directory(from).map_err(failed)?;
            match (ours, is_directory(to)) {
                (true, Ok(true)) => {
                    let below = |at| beneath::open(at, name.to_bytes(), IN_IT, Mode::empty()).map_err(failed);
                    self.merge(&below(from)?, &below(to)?, &path, act)?;
                }
                (_, Err(Errno::NOENT)) | (false, Ok(false)) if act => {
                    renameat(from, name, to, name).map_err(failed)?;
                }
                (_, Err(Errno::NOENT)) | (false, Ok(false)) => {}
                (true, Ok(false)) | (false, Ok(true)) => return Err(PackError::refused(&path, Why::InTheWay)),
                (_, Err(error)) => return Err(failed(error)),
            }
        }
        Ok(())
    }
}
