//! Files of a workspace on their way out of it, and back into one: one file byte for byte, anything else as an archive
//! (tar, compressed with zstd).
//!
//! ```text
//! Selection ─▶ walk (openat2, no link followed) ─▶ write (tar) ─▶ pieces, bounded ─▶ an upload
//! a download ─▶ pieces, bounded ─▶ read (tar) ─▶ staging beneath the target ─▶ the sum is right ─▶ in their places
//! ```
//! Both directions work on a thread of their own, with bounded memory. What is not to be packed or unpacked is refused
//! with its name; a failed unpacking leaves nothing behind. The owner is nobody's, modes are kept and readable for all,
//! and the same files make the same archive.

mod beneath;
mod digest;
mod error;
pub(in crate::sidecar) mod names;
mod outgoing;
mod pipe;
mod read;
mod staging;
mod unpack;
mod walk;
mod write;

#[cfg(test)]
mod tests;

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

pub(crate) use digest::digest;
pub(crate) use error::PackError;
pub(in crate::sidecar) use error::Why;
pub(crate) use outgoing::Selection;
pub(in crate::sidecar) use read::{Kind, Member, Members};
pub(crate) use unpack::Incoming;

/// What is packed and unpacked at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Of all files together, as they seem: holes count.
    pub(crate) bytes: u64,
    /// Files, directories and links.
    pub(crate) entries: u64,
    /// Directories within each other.
    pub(crate) depth: usize,
    /// Where links may lead.
    pub(crate) links: Links,
}

/// Where links may lead. None is ever followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Surely to something that is packed beneath the same directory.
    Inside,
    /// Anywhere: a folder goes whole from one machine to another, its links as they stand; named pipes and sockets stay.
    Anywhere,
}

impl Default for Limits {
    /// As much as a build's own files may be: 20 GiB, and so many names that they fit into a task of 128 MB.
    fn default() -> Self {
        Self { bytes: 20 << 30, entries: 500_000, depth: 100, links: Links::Inside }
    }
}

/// A directory beneath another one, which no link leads to.
///
/// # Errors
/// When it is not there, or is something else.
pub(crate) fn below(root: &OwnedFd, dir: &str) -> Result<OwnedFd, PackError> {
    let plain = names::plain(dir.as_bytes())?;
    let opened = beneath::open(root, &plain, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty());
    opened.map_err(|error| match error {
        Errno::NOENT => PackError::refused(&plain, Why::Missing),
        Errno::LOOP | Errno::NOTDIR => PackError::refused(&plain, Why::Through),
        error => PackError::file(&plain, "opened", error),
    })
}

/// What was packed or unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Files and links.
    pub(crate) entries: u64,
    /// What the files hold.
    pub(crate) bytes: u64,
}
