//! An archive as it is written: the owner nobody's, modes readable for all, the same files the same bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use tar::{EntryType, Header};

use super::error::{PackError, Why};
use super::walk::{Entry, Item, walk};
use super::{Limits, Packed};

/// Quick, and small enough: level 3 takes twice as long for a tenth less.
const LEVEL: i32 = 1;
/// A block of an archive, bytes.
pub(super) const BLOCK: usize = 512;
/// The longest name that stands in a header itself; others come before it.
const SHORT: usize = 100;

/// Packs everything at and beneath `paths` (plain names).
pub(super) fn write(root: &OwnedFd, paths: &[Vec<u8>], limits: &Limits, sink: impl Write) -> Result<Packed, PackError> {
    let mut packer = zstd::Encoder::new(sink, LEVEL).map_err(PackError::Sink)?;
    packer.include_checksum(true).map_err(PackError::Sink)?;
    let mut archive = Archive { out: packer, twins: HashMap::new(), packed: Packed::default() };
    walk(root, paths, limits, |entry| archive.add(entry))?;
    archive.out.write_all(&[0; 2 * BLOCK]).map_err(PackError::Sink)?;
    let mut sink = archive.out.finish().map_err(PackError::Sink)?;
    sink.flush().map_err(PackError::Sink)?;
    Ok(archive.packed)
}

struct Archive<W> {
    out: W,
    /// Under which name a file of several names was packed first.
    twins: HashMap<(u64, u64), Vec<u8>>,
    packed: Packed,
}

impl<W: Write> Archive<W> {
    fn add(&mut self, entry: Entry) -> Result<(), PackError> {
        let Entry { path, mode, mtime, item } = entry;
        let mut head = Head { path: &path, link: b"", mode, mtime, size: 0, kind: EntryType::Directory };
        match item {
            Item::Directory => self.header(&Head { mode: mode | 0o755, ..head }).map_err(PackError::Sink),
            Item::Link(target) => {
                self.packed.entries += 1;
                head.link = &target;
                self.header(&Head { mode: 0o777, kind: EntryType::Symlink, ..head }).map_err(PackError::Sink)
            }
            Item::File { file, size, twin } => {
                self.packed.entries += 1;
                if let Some(first) = twin.and_then(|twin| self.twins.get(&twin)).cloned() {
                    head.link = &first;
                    return self.header(&Head { kind: EntryType::Link, ..head }).map_err(PackError::Sink);
                }
                if let Some(twin) = twin {
                    self.twins.insert(twin, path.clone());
                }
                self.packed.bytes = self.packed.bytes.saturating_add(size);
                let mode = mode | 0o444;
                self.header(&Head { mode, size, kind: EntryType::Regular, ..head }).map_err(PackError::Sink)?;
                copy(&path, file, size, &mut self.out)?;
                self.pad(size).map_err(PackError::Sink)
            }
        }
    }

    fn header(&mut self, head: &Head<'_>) -> io::Result<()> {
        self.long(EntryType::GNULongName, head.path)?;
        self.long(EntryType::GNULongLink, head.link)?;
        self.out.write_all(head.block().as_bytes())
    }

    /// A name that is too long for a header, before it.
    fn long(&mut self, kind: EntryType, name: &[u8]) -> io::Result<()> {
        if name.len() <= SHORT {
            return Ok(());
        }
        // With the NUL behind it, as GNU's.
        let size = name.len() as u64 + 1;
        let head = Head { path: b"././@LongLink", link: b"", mode: 0o644, mtime: 0, size, kind };
        self.out.write_all(head.block().as_bytes())?;
        self.out.write_all(name)?;
        self.out.write_all(&[0])?;
        self.pad(size)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = usize::try_from(size % BLOCK as u64).unwrap_or_default();
        if over == 0 { Ok(()) } else { self.out.write_all(&vec![0; BLOCK - over]) }
    }
}

/// What a header says.
#[derive(Clone, Copy)]
struct Head<'a> {
    path: &'a [u8],
    link: &'a [u8],
    mode: u32,
    mtime: u64,
    size: u64,
    kind: EntryType,
}

impl Head<'_> {
    fn block(&self) -> Header {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        for (place, bytes) in [(&mut old.name, self.path), (&mut old.linkname, self.link)] {
            place.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        }
        header.set_entry_type(self.kind);
        header.set_mode(self.mode & 0o777);
        header.set_mtime(self.mtime);
        header.set_size(self.size);
        header.set_uid(0);
        header.set_gid(0);
        header.set_cksum();
        header
    }
}

/// Exactly `size` bytes: what was added since is left out, and what was taken away is missed.
pub(super) fn copy(path: &[u8], mut file: File, size: u64, out: &mut impl Write) -> Result<(), PackError> {
    let mut left = size;
    let mut buffer = vec![0; super::pipe::PIECE];
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let room = buffer.get_mut(..most).unwrap_or_default();
        let read = match file.read(room) {
            Ok(0) => return Err(PackError::refused(path, Why::Shrank)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(PackError::file(path, "read", error)),
        };
        out.write_all(room.get(..read).unwrap_or_default()).map_err(PackError::Sink)?;
        left = left.saturating_sub(read as u64);
    }
    Ok(())
}
