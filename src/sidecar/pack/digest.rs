//! What files hold, in one number: for the keys of caches.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::error::PackError;
use super::outgoing::Selection;
use super::walk::Item;
use super::{Limits, pipe, walk};

/// SHA-256, as hexadecimal digits, of the names and contents of all files at and beneath `paths`; neither modes nor
/// times count. Nothing at a path is an error.
///
/// # Errors
/// See [`PackError`].
pub(crate) fn digest(root: &Path, paths: &[PathBuf], limits: Limits) -> Result<String, PackError> {
    let selection = Selection::beneath(root, paths, limits)?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; pipe::PIECE];
    walk::walk(selection.root(), selection.paths(), &limits, |entry| {
        let mut part = |bytes: &[u8]| {
            sum.update((bytes.len() as u64).to_be_bytes());
            sum.update(bytes);
        };
        part(&entry.path);
        match entry.item {
            Item::Directory => part(b"d"),
            Item::Link(target) => part(&target),
            Item::File { file, size, .. } => {
                let mut content = Sha256::new();
                let mut file = file.take(size);
                loop {
                    let read = file.read(&mut buffer);
                    let read = read.map_err(|error| PackError::file(&entry.path, "read", error))?;
                    if read == 0 {
                        break;
                    }
                    content.update(buffer.get(..read).unwrap_or_default());
                }
                part(&content.finalize());
            }
        }
        Ok(())
    })?;
    Ok(hex::encode(sum.finalize()))
}
