//! Why something is not packed or unpacked, and of what name it is.

use std::fmt;
use std::io;

use super::names::Name;

/// Why something is not packed, or not unpacked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PackError {
    /// It is nothing that is taken.
    #[error("{name} {why}")]
    Refused {
        /// What.
        name: Name,
        /// Why not.
        why: Why,
    },
    /// The system says no.
    #[error("{name} cannot be {doing}")]
    File {
        /// What.
        name: Name,
        /// What was tried.
        doing: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// Not an archive, or one that was cut off.
    #[error("the archive cannot be read")]
    Damaged(#[source] io::Error),
    /// Nobody takes what is packed any more.
    #[error("what is packed could not be handed on")]
    Sink(#[source] io::Error),
    /// What arrived is not what was sent.
    #[error("what arrived is not what was kept: {0}")]
    Sum(&'static str),
    /// No thread.
    #[error("no thread could be started for it")]
    Thread(#[source] io::Error),
    /// The thread is gone.
    #[error("the packing has ended before its end")]
    Lost,
}

/// Why a thing is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Why {
    /// There is no such thing.
    Missing,
    /// A pipe with a name.
    Fifo,
    /// A socket.
    Socket,
    /// A device.
    Device,
    /// Something else that is no file, directory or link.
    Strange,
    /// The name begins with a slash.
    Absolute,
    /// `..` in the name.
    Up,
    /// NUL in the name.
    Nul,
    /// The link leads outward, or may.
    Outward(Name),
    /// On the way to it there is a link, or a file.
    Through,
    /// Another kind of thing than when it was looked at.
    Changed,
    /// Shorter than when it was opened.
    Shrank,
    /// On another file system, or another mount.
    Elsewhere,
    /// More bytes than so many, with it.
    Bytes(u64),
    /// More entries than so many, with it.
    Entries(u64),
    /// Deeper than so many directories.
    Depth(usize),
    /// Its names alone are too much.
    Names,
    /// Something else stands at its place.
    InTheWay,
    /// A sparse file as GNU tar writes it.
    Sparse,
    /// More users and groups than so many, with it.
    Owners(usize),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("is not there"),
            Self::Fifo => f.write_str("is a named pipe: only files, directories and links are taken"),
            Self::Socket => f.write_str("is a socket: only files, directories and links are taken"),
            Self::Device => f.write_str("is a device: only files, directories and links are taken"),
            Self::Strange => f.write_str("is neither a file nor a directory nor a link"),
            Self::Absolute => f.write_str("is an absolute name"),
            Self::Up => f.write_str("has `..` in its name"),
            Self::Nul => f.write_str("has a NUL in its name"),
            Self::Outward(target) => write!(f, "is a link that may lead outward, to {target}"),
            Self::Through => f.write_str("lies behind something that is no directory; no link is followed"),
            Self::Changed => f.write_str("was changed into something else while it was read"),
            Self::Shrank => f.write_str("became shorter while it was read"),
            Self::Elsewhere => f.write_str("lies on another file system"),
            Self::Bytes(most) => write!(f, "makes it more than {most} bytes"),
            Self::Entries(most) => write!(f, "makes it more than {most} files, directories and links"),
            Self::Depth(most) => write!(f, "lies deeper than {most} directories"),
            Self::Names => f.write_str("has too long names in it"),
            Self::InTheWay => f.write_str("cannot be put in place: something of another kind stands there"),
            Self::Owners(most) => write!(f, "makes it files of more than {most} users and groups"),
            Self::Sparse => f.write_str("is packed as a sparse file, which is not read here"),
        }
    }
}

impl PackError {
    pub(in crate::sidecar) fn refused(name: &[u8], why: Why) -> Self {
        Self::Refused { name: Name::of(name), why }
    }

    pub(in crate::sidecar) fn file(name: &[u8], doing: &'static str, source: impl Into<io::Error>) -> Self {
        Self::File { name: Name::of(name), doing, source: source.into() }
    }

    /// Whether it lies in the files themselves: trying again changes nothing.
    pub(crate) fn is_about_the_files(&self) -> bool {
        match self {
            Self::Refused { .. } | Self::File { .. } | Self::Damaged(_) => true,
            Self::Sink(_) | Self::Sum(_) | Self::Thread(_) | Self::Lost => false,
        }
    }
}
