//! What is beneath a directory, in order, while somebody else may change it.
//!
//! Every step is taken from the descriptor of the directory above and follows no link, so whatever is moved, or put in
//! the place of something else, nothing outside is ever read.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, Stat, fstat, readlinkat, statat};
use rustix::io::Errno;

use super::error::{PackError, Why};
use super::{Limits, Links, beneath, names};

/// All names of directories that are being read, bytes: they are put in order in memory.
const NAMES_MOST: usize = 48 << 20;

/// Something that was found.
#[derive(Debug)]
pub(super) struct Entry {
    /// Its plain name.
    pub(super) path: Vec<u8>,
    /// Its permissions.
    pub(super) mode: u32,
    /// When it was changed last, in seconds since 1970.
    pub(super) mtime: u64,
    /// What it is.
    pub(super) item: Item,
}

/// What a found thing is.
#[derive(Debug)]
pub(super) enum Item {
    /// What it holds comes next.
    Directory,
    /// Open for reading.
    File {
        /// The file.
        file: File,
        /// Its size when it was opened.
        size: u64,
        /// Device and number, where it has other names too.
        twin: Option<(u64, u64)>,
    },
    /// A link, and where it leads.
    Link(Vec<u8>),
}

/// Tells `each` of everything at and beneath `paths` (plain names), directories before what they hold.
pub(super) fn walk(
    root: &OwnedFd,
    paths: &[Vec<u8>],
    limits: &Limits,
    each: impl FnMut(Entry) -> Result<(), PackError>,
) -> Result<(), PackError> {
    let mut walk = Walk { limits, bytes: 0, entries: 0, names: 0, each };
    for path in outermost(paths) {
        walk.at(root, path)?;
    }
    Ok(())
}

/// In order, each once, and none that lies beneath another.
fn outermost(paths: &[Vec<u8>]) -> Vec<&Vec<u8>> {
    let mut sorted: Vec<&Vec<u8>> = paths.iter().collect();
    sorted.sort();
    sorted.dedup();
    let is_beneath = |path: &[u8], other: &[u8]| {
        path != other && (other.is_empty() || path.strip_prefix(other).is_some_and(|rest| rest.starts_with(b"/")))
    };
    let all = sorted.clone();
    sorted.retain(|path| !all.iter().any(|other| is_beneath(path, other)));
    sorted
}

/// A directory that is being read: its names are put last first.
struct Level {
    dir: OwnedFd,
    path: Vec<u8>,
    names: Vec<Box<[u8]>>,
}

struct Walk<'a, F> {
    limits: &'a Limits,
    bytes: u64,
    entries: u64,
    names: usize,
    each: F,
}

impl<F: FnMut(Entry) -> Result<(), PackError>> Walk<'_, F> {
    fn at(&mut self, root: &OwnedFd, path: &[u8]) -> Result<(), PackError> {
        let way = OFlags::PATH | OFlags::DIRECTORY;
        let first = if path.is_empty() {
            let all = beneath::open(root, b"", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
            Some(all.map_err(|error| unread(path, error))?)
        } else {
            let (above, last) = names::split(path);
            let above = beneath::open(root, above, way, Mode::empty()).map_err(|error| match error {
                Errno::LOOP | Errno::NOTDIR => PackError::refused(path, Why::Through),
                error => unread(path, error),
            })?;
            self.entry(&above, last, path.to_owned())?
        };
        let Some(first) = first else { return Ok(()) };
        let mut open = vec![self.level(first, path.to_owned())?];
        while let Some(level) = open.last_mut() {
            let Some(name) = level.names.pop() else {
                open.pop();
                continue;
            };
            self.names = self.names.saturating_sub(name.len());
            let path = names::join(&level.path, &name);
            let dir = match self.entry(&level.dir, &name, path.clone()) {
                Ok(dir) => dir,
                // Listed, and gone since.
                Err(PackError::Refused { why: Why::Missing, .. }) => None,
                Err(error) => return Err(error),
            };
            if let Some(dir) = dir {
                open.push(self.level(dir, path)?);
            }
        }
        Ok(())
    }

    fn level(&mut self, dir: OwnedFd, path: Vec<u8>) -> Result<Level, PackError> {
        let unread = |error| unread(&path, error);
        let mut names: Vec<Box<[u8]>> = Vec::new();
        for entry in Dir::read_from(&dir).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            self.names += name.len();
            if self.names > NAMES_MOST {
                return Err(PackError::refused(&path, Why::Names));
            }
            if self.entries.saturating_add(names.len() as u64) >= self.limits.entries {
                return Err(PackError::refused(&names::join(&path, name), Why::Entries(self.limits.entries)));
            }
            names.push(name.into());
        }
        names.sort_unstable_by(|one, other| other.cmp(one));
        Ok(Level { dir, path, names })
    }

    /// Tells of one entry; gives it where it is a directory, opened.
    fn entry(&mut self, dir: &OwnedFd, name: &[u8], path: Vec<u8>) -> Result<Option<OwnedFd>, PackError> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(PackError::refused(&path, Why::Entries(self.limits.entries)));
        }
        if names::depth(&path) >= self.limits.depth {
            return Err(PackError::refused(&path, Why::Depth(self.limits.depth)));
        }
        let seen = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| unread(&path, error))?;
        let (item, stat, below) = match FileType::from_raw_mode(seen.st_mode) {
            FileType::Directory => {
                let below = opened(dir, name, &path, OFlags::DIRECTORY)?;
                let stat = fstat(&below).map_err(|error| unread(&path, error))?;
                (Item::Directory, stat, Some(below))
            }
            FileType::RegularFile => {
                let (file, stat) = self.file(dir, name, &path)?;
                (file, stat, None)
            }
            FileType::Symlink => (link(dir, name, &path, self.limits.links)?, seen, None),
            // Nothing without the process that made it.
            FileType::Fifo | FileType::Socket if self.limits.links == Links::Anywhere => return Ok(None),
            FileType::Fifo => return Err(PackError::refused(&path, Why::Fifo)),
            FileType::Socket => return Err(PackError::refused(&path, Why::Socket)),
            FileType::BlockDevice | FileType::CharacterDevice => return Err(PackError::refused(&path, Why::Device)),
            FileType::Unknown => return Err(PackError::refused(&path, Why::Strange)),
        };
        let (mode, mtime) = (stat.st_mode & 0o777, u64::try_from(stat.st_mtime).unwrap_or_default());
        (self.each)(Entry { path, mode, mtime, item })?;
        Ok(below)
    }

    fn file(&mut self, dir: &OwnedFd, name: &[u8], path: &[u8]) -> Result<(Item, Stat), PackError> {
        // What was put in its place since it was looked at is opened without waiting for it, and then seen.
        let file = opened(dir, name, path, OFlags::NONBLOCK | OFlags::NOCTTY)?;
        let stat = fstat(&file).map_err(|error| unread(path, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(PackError::refused(path, Why::Changed));
        }
        let size = u64::try_from(stat.st_size).unwrap_or_default();
        self.bytes = self.bytes.saturating_add(size);
        if self.bytes > self.limits.bytes {
            return Err(PackError::refused(path, Why::Bytes(self.limits.bytes)));
        }
        let twin = (stat.st_nlink > 1).then_some((stat.st_dev, stat.st_ino));
        Ok((Item::File { file: file.into(), size, twin }, stat))
    }
}

fn opened(dir: impl AsFd, name: &[u8], path: &[u8], flags: OFlags) -> Result<OwnedFd, PackError> {
    beneath::open(dir, name, OFlags::RDONLY | flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR | Errno::NXIO => PackError::refused(path, Why::Changed),
        error => unread(path, error),
    })
}

fn link(dir: &OwnedFd, name: &[u8], path: &[u8], links: Links) -> Result<Item, PackError> {
    let target = readlinkat(dir, name, Vec::new()).map_err(|error| match error {
        Errno::INVAL => PackError::refused(path, Why::Changed),
        error => unread(path, error),
    })?;
    let target = target.into_bytes();
    if links == Links::Inside && !names::stays_inside(path, &target) {
        return Err(PackError::refused(path, Why::Outward(names::Name::of(&target))));
    }
    Ok(Item::Link(target))
}

fn unread(path: &[u8], error: Errno) -> PackError {
    match error {
        Errno::NOENT => PackError::refused(path, Why::Missing),
        Errno::XDEV => PackError::refused(path, Why::Elsewhere),
        error => PackError::file(path, "read", error),
    }
}
