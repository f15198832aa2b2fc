//! What `run` keeps of a working copy from one time to the next: a store of its own in the user's cache.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::name_of;
use crate::engine::remove_tree;

/// The file that says which working copy a directory is of.
const OF: &str = "of";
/// Digits of its name that keep apart what is called the same.
const DIGITS: usize = 16;

/// The directory of one working copy.
#[derive(Debug)]
pub(super) struct Cache(PathBuf);

impl Cache {
    /// Makes it below `root`, and removes those of working copies that are gone.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(super) fn open(root: &Path, dir: &Path) -> io::Result<Self> {
        let root = root.join("run");
        let path = dir.as_os_str().as_bytes();
        let hash: String = hex::encode(Sha256::digest(path)).chars().take(DIGITS).collect();
        let own = root.join(format!("{}-{hash}", name_of(dir)));
        DirBuilder::new().recursive(true).mode(0o700).create(&own)?;
        std::fs::write(own.join(OF), path)?;
        // Another run may be at it too.
        if let Err(error) = remove_orphans(&root) {
            tracing::warn!(%error, "what was kept of working copies that are gone could not be removed");
        }
        Ok(Self(own))
    }

    /// For the store.
    pub(super) fn store(&self) -> PathBuf {
        self.0.join("store")
    }

    /// For the artifacts of the last run that left any.
    pub(super) fn artifacts(&self) -> PathBuf {
        self.0.join("artifacts")
    }
}

fn remove_orphans(root: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(root)? {
        let path = entry?.path();
        let Ok(of) = std::fs::read(path.join(OF)) else { continue };
        if !Path::new(std::ffi::OsStr::from_bytes(&of)).exists() {
            remove_tree(&path)?;
        }
    }
    Ok(())
}
