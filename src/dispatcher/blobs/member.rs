//! One file out of an archive (tar, zstd), as it comes: nothing is unpacked anywhere, and no name in it is ever opened.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use tar::EntryType;
use tokio::sync::{mpsc, oneshot};

/// What is looked through, unpacked, before it is given up: as much as a build may pack.
const LOOKED: u64 = 20 << 30;
/// Members that are looked at.
const MEMBERS: usize = 1_000_000;
/// The longest name; pax records have other words beside it.
const NAME_MOST: u64 = 64 * 1024;
/// What an unpacker may remember, as a power of two, bytes: more than any of our own packers needs.
const WINDOW_LOG: u32 = 25;
/// Bytes that are sent on at once.
const PIECE: usize = 64 * 1024;

/// Why there is no such file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MemberError {
    #[error("there is no such file in the archive")]
    Missing,
    #[error("that is no file: the archive has a directory, a link or a device there")]
    NoFile,
    #[error("the archive is too large to look through: get all of it")]
    TooLarge,
    #[error("the archive is damaged")]
    Damaged(#[source] io::Error),
}

/// A path within an archive, as it is asked for; none for one that could mean another.
pub(crate) fn path(text: &str) -> Option<Vec<u8>> {
    let fits = !text.is_empty()
        && text.len() <= 4_096
        && !text.chars().any(char::is_control)
        && text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    fits.then(|| text.as_bytes().to_vec())
}

/// The pieces of an archive, to be read on a thread.
#[derive(Debug)]
pub(crate) struct Pieces {
    from: mpsc::Receiver<io::Result<Bytes>>,
    now: Bytes,
}

impl Pieces {
    pub(crate) fn new(from: mpsc::Receiver<io::Result<Bytes>>) -> Self {
        Self { from, now: Bytes::new() }
    }
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.from.blocking_recv() {
                Some(piece) => self.now = piece?,
                None => return Ok(0),
            }
        }
        let count = into.len().min(self.now.len());
        self.now.copy_to_slice(into.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Looks for a file: says its size, or why there is none, and then sends its bytes.
pub(crate) fn search(
    archive: impl Read,
    wanted: &[u8],
    found: oneshot::Sender<Result<u64, MemberError>>,
    to: &mpsc::Sender<io::Result<Bytes>>,
) {
    let mut found = Some(found);
    let mut say = |what: Result<u64, MemberError>| found.take().map(|found| found.send(what));
    match look(archive, wanted, &mut say, to) {
        // Who has gone does not want to know; who was told the size sees that the bytes end early.
        Ok(()) => {}
        Err(error) => {
            if say(Err(error)).is_none() {
                let _gone = to.blocking_send(Err(io::ErrorKind::InvalidData.into()));
            }
        }
    }
}

fn look(
    archive: impl Read,
    wanted: &[u8],
    say: &mut impl FnMut(Result<u64, MemberError>) -> Option<Result<(), Result<u64, MemberError>>>,
    to: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<(), MemberError> {
    let mut unpacker = zstd::Decoder::new(archive).map_err(MemberError::Damaged)?;
    unpacker.window_log_max(WINDOW_LOG).map_err(MemberError::Damaged)?;
    let mut bounded = tar::Archive::new(Bounded { from: unpacker, left: LOOKED });
    // Raw: the headers that hold long names come as they are, and are not read into memory whatever they say.
    let members = bounded.entries().map_err(MemberError::Damaged)?.raw(true);
    let mut long: Option<Vec<u8>> = None;
    for (count, member) in members.enumerate() {
        let mut member = member.map_err(broken)?;
        if count > MEMBERS {
            return Err(MemberError::TooLarge);
        }
        match member.header().entry_type() {
            EntryType::GNULongName => long = Some(text(&mut member)?),
            EntryType::XHeader => long = pax_path(&text(&mut member)?).or(long),
            EntryType::GNULongLink | EntryType::XGlobalHeader => {}
            kind => {
                let name = long.take().unwrap_or_else(|| member.path_bytes().into_owned());
                if plain(&name) != wanted {
                    continue;
                }
                if !matches!(kind, EntryType::Regular | EntryType::Continuous) {
                    return Err(MemberError::NoFile);
                }
                let _gone = say(Ok(member.size()));
                return send(&mut member, to);
            }
        }
    }
    Err(MemberError::Missing)
}

/// All of a file, as fast as it is taken; who takes it may go away.
fn send(from: &mut impl Read, to: &mpsc::Sender<io::Result<Bytes>>) -> Result<(), MemberError> {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        from.by_ref().take(PIECE as u64).read_to_end(&mut piece).map_err(broken)?;
        if piece.is_empty() || to.blocking_send(Ok(piece.into())).is_err() {
            return Ok(());
        }
    }
}

/// What stands in a header that is as long as its writer says.
fn text(member: &mut impl Read) -> Result<Vec<u8>, MemberError> {
    let mut text = Vec::new();
    member.take(NAME_MOST).read_to_end(&mut text).map_err(broken)?;
    while text.last() == Some(&0) {
        text.pop();
    }
    Ok(text)
}

/// `<length> path=<name>\n`
fn pax_path(records: &[u8]) -> Option<Vec<u8>> {
    let mut rest = records;
    while !rest.is_empty() {
        let space = rest.iter().position(|byte| *byte == b' ')?;
        let length: usize = std::str::from_utf8(rest.get(..space)?).ok()?.parse().ok()?;
        let record = rest.get(space + 1..length)?;
        if let Some(path) = record.strip_prefix(b"path=") {
            return Some(path.strip_suffix(b"\n").unwrap_or(path).to_vec());
        }
        rest = rest.get(length..)?;
    }
    None
}

/// Without `./` before it and `/` behind.
fn plain(name: &[u8]) -> &[u8] {
    let mut name = name;
    while let Some(rest) = name.strip_prefix(b"./") {
        name = rest;
    }
    name.strip_suffix(b"/").unwrap_or(name)
}

/// Ends what goes on for ever.
struct Bounded<R> {
    from: R,
    left: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("more than may be looked through")]
struct Endless;

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other(Endless));
        }
        let count = self.from.read(into)?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

fn broken(error: io::Error) -> MemberError {
    let endless = error.get_ref().is_some_and(|cause| cause.is::<Endless>());
    if endless { MemberError::TooLarge } else { MemberError::Damaged(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(fill: impl FnOnce(&mut tar::Builder<Vec<u8>>)) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        fill(&mut builder);
        zstd::encode_all(builder.into_inner().unwrap().as_slice(), 1).unwrap()
    }

    fn add(builder: &mut tar::Builder<Vec<u8>>, name: &str, bytes: &[u8]) {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
    }

    /// What a reader of the file gets.
    fn get(archive: &[u8], wanted: &str) -> Result<Vec<u8>, MemberError> {
        let (found_to, found) = oneshot::channel();
        let (to, mut bytes) = mpsc::channel(1_000);
        search(archive, &path(wanted).unwrap(), found_to, &to);
        drop(to);
        let size = found.blocking_recv().unwrap()?;
        let mut all = Vec::new();
        while let Some(piece) = bytes.blocking_recv() {
            all.extend(piece.map_err(MemberError::Damaged)?);
        }
        assert_eq!(all.len() as u64, size);
        Ok(all)
    }

    #[test]
    fn a_file_is_found_by_its_name_however_long() {
        let long = format!("{}/end.txt", ["a-directory"; 20].join("/"));
        let packed = archive(|to| {
            add(to, "./report/index.html", b"<html>");
            add(to, &long, b"long");
            to.append_pax_extensions([("path", "named/by pax".as_bytes())]).unwrap();
            add(to, "other", b"pax");
        });
        assert_eq!(get(&packed, "report/index.html").unwrap(), b"<html>");
        assert_eq!(get(&packed, &long).unwrap(), b"long");
        assert_eq!(get(&packed, "named/by pax").unwrap(), b"pax");
        for missing in ["report", "index.html", "other", "report/index.htm"] {
            assert!(matches!(get(&packed, missing), Err(MemberError::Missing)), "{missing}");
        }
    }

    #[test]
    fn what_is_no_file_is_not_given() {
        let packed = archive(|to| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(EntryType::Symlink);
            header.set_size(0);
            to.append_link(&mut header, "link", "/etc/passwd").unwrap();
            header.set_entry_type(EntryType::Directory);
            to.append_data(&mut header, "folder", io::empty()).unwrap();
            header.set_entry_type(EntryType::Link);
            to.append_link(&mut header, "twin", "link").unwrap();
        });
        for name in ["link", "folder", "twin"] {
            assert!(matches!(get(&packed, name), Err(MemberError::NoFile)), "{name}");
        }
    }

    #[test]
    fn names_that_could_mean_another_are_not_asked_for() {
        for name in ["", "/etc/passwd", "../a", "a/../b", "a//b", "./a", "a/", "a\0b", "a\nb", &"x".repeat(5_000)] {
            assert_eq!(path(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_damaged_archive_is_told() {
        let packed = archive(|to| add(to, "a", &[7; 100_000]));
        assert!(matches!(get(b"no archive at all", "a"), Err(MemberError::Damaged(_))));
        assert!(matches!(get(&packed[..packed.len() / 2], "b"), Err(MemberError::Damaged(_))));
        // A header that says its name were as long as the world is not believed.
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(u64::MAX / 2);
        header.set_cksum();
        let lie = zstd::encode_all(&header.as_bytes()[..], 1).unwrap();
        assert!(matches!(get(&lie, "a"), Err(MemberError::Damaged(_) | MemberError::Missing)));
    }

    #[test]
    fn what_goes_on_for_ever_is_given_up() {
        let mut endless = Bounded { from: io::repeat(0), left: 100_000 };
        let error = io::copy(&mut endless, &mut io::sink()).unwrap_err();
        assert!(matches!(broken(error), MemberError::TooLarge));
    }
}
