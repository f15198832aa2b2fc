//! An archive as it comes from outside: each member with its name and no more memory than that takes.
//!
//! Names of any length come in headers before the member (GNU's, or pax records); how long those may be is decided here,
//! before anything is read.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::Limits;
use super::error::{PackError, Why};
use super::write::BLOCK;

/// The longest name; no system opens longer ones.
const NAME_MOST: u64 = 64 * 1024;
/// Pax records of one member, bytes.
const PAX_MOST: u64 = 1 << 20;
/// What may stand behind an archive's end, bytes: GNU tar fills up 10 KiB.
const BEHIND: u64 = 16 << 20;
/// Headers for one entry, on the average.
const HEADERS: u64 = 4;

/// Something in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sidecar) struct Member {
    /// Its name as it stands there.
    pub(in crate::sidecar) path: Vec<u8>,
    /// Of links: where they lead.
    pub(in crate::sidecar) link: Vec<u8>,
    pub(in crate::sidecar) kind: Kind,
    /// With the bits that give a program another user.
    pub(in crate::sidecar) mode: u32,
    pub(in crate::sidecar) uid: u32,
    pub(in crate::sidecar) gid: u32,
    pub(in crate::sidecar) mtime: u64,
    pub(in crate::sidecar) size: u64,
}

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sidecar) enum Kind {
    Directory,
    File,
    Link,
    /// A second name of a file before it.
    Twin,
    /// Of characters or blocks.
    Device,
    /// A pipe with a name.
    Fifo,
}

/// The members of an archive, in order.
#[derive(Debug)]
pub(in crate::sidecar) struct Members<R> {
    from: R,
    /// Of the member before: unread bytes, and those that fill its last block.
    left: u64,
    fill: u64,
    headers: u64,
    limits: Limits,
}

/// What stood before a member about it.
#[derive(Default)]
struct Before {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    mtime: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    sparse: bool,
}

impl<R: Read> Members<R> {
    pub(in crate::sidecar) fn new(from: R, limits: Limits) -> Self {
        Self { from, left: 0, fill: 0, headers: 0, limits }
    }

    /// The next one; what was not read of the one before is passed over.
    pub(in crate::sidecar) fn next(&mut self) -> Result<Option<Member>, PackError> {
        let mut before = Before::default();
        loop {
            self.pass_over().map_err(PackError::Damaged)?;
            let Some(header) = self.header()? else { return Ok(None) };
            let size = header.entry_size().map_err(PackError::Damaged)?;
            match header.entry_type() {
                EntryType::GNULongName => before.path = Some(self.text(&header, size, NAME_MOST)?),
                EntryType::GNULongLink => before.link = Some(self.text(&header, size, NAME_MOST)?),
                EntryType::XHeader => {
                    let records = self.bytes(&header, size, PAX_MOST)?;
                    before.records(&records).ok_or_else(|| damaged("a pax record is none"))?;
                }
                EntryType::XGlobalHeader => drop(self.bytes(&header, size, PAX_MOST)?),
                kind => return self.member(kind, &header, size, before).map(Some),
            }
        }
    }

    fn member(&mut self, kind: EntryType, header: &Header, size: u64, before: Before) -> Result<Member, PackError> {
        let path = before.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let link = before.link.or_else(|| header.link_name_bytes().map(|name| name.into_owned()));
        let refused = |why| Err(PackError::refused(&path, why));
        let kind = match kind {
            _ if before.sparse => return refused(Why::Sparse),
            EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Directory => Kind::Directory,
            EntryType::Symlink => Kind::Link,
            EntryType::Link => Kind::Twin,
            EntryType::Fifo => Kind::Fifo,
            EntryType::Char | EntryType::Block => Kind::Device,
            EntryType::GNUSparse => return refused(Why::Sparse),
            _ => return refused(Why::Strange),
        };
        let size = before.size.unwrap_or(size);
        // Only files have data; a link or a directory may say a size and has none.
        if kind == Kind::File {
            self.holds(size);
        }
        Ok(Member {
            link: link.unwrap_or_default(),
            kind,
            mode: header.mode().unwrap_or(0o644) & 0o7777,
            uid: number(before.uid.or(header.uid().ok())),
            gid: number(before.gid.or(header.gid().ok())),
            mtime: before.mtime.or(header.mtime().ok()).unwrap_or_default(),
            size: if kind == Kind::File { size } else { 0 },
            path,
        })
    }

    /// What it is read from: right behind the header of the member that came last.
    pub(in crate::sidecar) fn source(&self) -> &R {
        &self.from
    }

    /// What the member that came last holds.
    pub(in crate::sidecar) fn data(&mut self) -> Data<'_, R> {
        Data(self)
    }

    fn holds(&mut self, size: u64) {
        self.left = size;
        self.fill = size.next_multiple_of(BLOCK as u64).saturating_sub(size);
    }

    fn pass_over(&mut self) -> io::Result<()> {
        let all = self.left.saturating_add(self.fill);
        (self.left, self.fill) = (0, 0);
        let passed = io::copy(&mut (&mut self.from).take(all), &mut io::sink())?;
        if passed == all { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// The next header; none at the end.
    fn header(&mut self) -> Result<Option<Header>, PackError> {
        let mut block = [0; BLOCK];
        self.from.read_exact(&mut block).map_err(PackError::Damaged)?;
        if block.iter().all(|byte| *byte == 0) {
            self.end()?;
            return Ok(None);
        }
        self.headers += 1;
        if self.headers > self.limits.entries.saturating_mul(HEADERS) {
            return Err(PackError::refused(b"", Why::Entries(self.limits.entries)));
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) };
        let counted: u32 = block.iter().enumerate().map(sum).sum();
        if header.cksum().map_err(PackError::Damaged)? != counted {
            return Err(damaged("the sum of a header is wrong"));
        }
        Ok(Some(header))
    }

    /// Everything behind the archive is read, so that its sum can be told, but not for ever.
    fn end(&mut self) -> Result<(), PackError> {
        let behind = io::copy(&mut (&mut self.from).take(BEHIND), &mut io::sink()).map_err(PackError::Damaged)?;
        if behind < BEHIND { Ok(()) } else { Err(damaged("there is too much behind its end")) }
    }

    fn bytes(&mut self, header: &Header, size: u64, most: u64) -> Result<Vec<u8>, PackError> {
        if size > most {
            return Err(PackError::refused(&header.path_bytes(), Why::Names));
        }
        self.holds(size);
        let mut bytes = Vec::new();
        self.data().read_to_end(&mut bytes).map_err(PackError::Damaged)?;
        Ok(bytes)
    }

    /// A name, up to its NUL.
    fn text(&mut self, header: &Header, size: u64, most: u64) -> Result<Vec<u8>, PackError> {
        let mut bytes = self.bytes(header, size, most)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(end);
        Ok(bytes)
    }
}

/// Who a number stands for; none of ours is nobody in particular.
fn number(id: Option<u64>) -> u32 {
    id.and_then(|id| u32::try_from(id).ok()).unwrap_or_default()
}

fn damaged(what: &'static str) -> PackError {
    PackError::Damaged(io::Error::new(io::ErrorKind::InvalidData, what))
}

impl Before {
    /// `<length> <key>=<value>\n`, again and again; none where it is not that.
    fn records(&mut self, mut records: &[u8]) -> Option<()> {
        while !records.is_empty() {
            let blank = records.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(records.get(..blank)?).ok()?.parse().ok()?;
            let record = records.get(blank + 1..length)?.strip_suffix(b"\n")?;
            records = records.get(length..)?;
            let at = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (record.get(..at)?, record.get(at + 1..)?);
            match key {
                b"path" => self.path = Some(value.to_owned()),
                b"linkpath" => self.link = Some(value.to_owned()),
                b"size" => self.size = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                b"mtime" => {
                    let text = std::str::from_utf8(value).ok()?;
                    self.mtime = text.split('.').next()?.parse().ok();
                }
                b"uid" => self.uid = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                b"gid" => self.gid = Some(std::str::from_utf8(value).ok()?.parse().ok()?),
                key => self.sparse |= key.starts_with(b"GNU.sparse"),
            }
        }
        Some(())
    }
}

/// What one member holds; too early an end is an error.
#[derive(Debug)]
pub(in crate::sidecar) struct Data<'a, R>(&'a mut Members<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.0.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.0.from.read(buffer.get_mut(..most).unwrap_or_default())?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.0.left = self.0.left.saturating_sub(read as u64);
        Ok(read)
    }
}
