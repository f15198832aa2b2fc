//! Why there is no image, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::sidecar::pack::PackError;

/// Why an image could not be made, found or removed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// What was typed cannot be meant.
    #[error("{0}")]
    Usage(String),
    /// A file of the store, or of what an image is made from.
    #[error("{} cannot be {doing}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// A run has it.
    #[error("{0} is used by a run; remove it when that has ended")]
    Used(String),
    /// Nothing of that name.
    #[error("there is no image \"{0}\" in the store; albatros vm image list shows what there is")]
    Unknown(String),
    /// Several of them.
    #[error("several images begin with \"{0}\"; type more of the digest")]
    Ambiguous(String),
    /// What an image is made from is none, or not what it says to be.
    #[error("{0}")]
    Source(String),
    /// A layer, or a file system in an archive.
    #[error("{what} is refused")]
    Layer {
        /// Which.
        what: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The program that knows the image.
    #[error("{program} did not give the image: {said}")]
    Engine {
        /// Which.
        program: &'static str,
        /// What it said last.
        said: String,
    },
    /// The registry.
    #[error(
        "the registry {registry} did not give {what}; is it there, and may it be read as docker login has it here?"
    )]
    Registry {
        /// Its name.
        registry: String,
        /// What was asked for.
        what: String,
        /// The reason.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Writing the root file system.
    #[error("the root file system cannot be written")]
    Squash(#[source] Box<backhand::BackhandError>),
    /// Nothing to boot.
    #[error("{0}")]
    Kernel(String),
    /// The machine's init.
    #[error("{} cannot be a machine's first program: {why}", .path.display())]
    Program {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// Somebody else makes the same one and does not come to an end.
    #[error("another process has been making the image \"{0}\" for too long")]
    Slow(String),
    /// The work has ended before its end.
    #[error("the image was given up half-way")]
    Lost(#[source] tokio::task::JoinError),
}

impl ImageError {
    pub(super) fn file(path: &Path, doing: &'static str, source: impl Into<io::Error>) -> Self {
        Self::File { path: path.to_owned(), doing, source: source.into() }
    }

    pub(super) fn layer(what: &str, source: PackError) -> Self {
        Self::Layer { what: what.to_owned(), source: Box::new(source) }
    }

    /// Whether what was typed is the reason.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Usage(_) | Self::Used(_) | Self::Unknown(_) | Self::Ambiguous(_))
    }
}

/// For `map_err`: what was tried with a file.
pub(super) fn failed<E: Into<io::Error>>(path: &Path, doing: &'static str) -> impl FnOnce(E) -> ImageError {
    move |source| ImageError::file(path, doing, source)
}
