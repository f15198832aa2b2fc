//! The files of a working copy as they stand, copied for a build of their own.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Copies what is named, each name ended by a NUL.
pub(super) fn copy_listed(dir: &Path, list: &[u8], to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = Path::new(OsStr::from_bytes(name));
        copy_one(&dir.join(name), &to.join(name))?;
    }
    Ok(())
}

/// Copies everything.
pub(super) fn copy_all(dir: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    let mut rest = vec![PathBuf::new()];
    while let Some(inside) = rest.pop() {
        for entry in std::fs::read_dir(dir.join(&inside))? {
            let entry = entry?;
            let name = inside.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                rest.push(name);
            } else {
                copy_one(&dir.join(&name), &to.join(&name))?;
            }
        }
    }
    Ok(())
}

/// A file or a link; what was deleted, is a directory (a submodule) or a device is left out, as in a plain checkout.
fn copy_one(from: &Path, to: &Path) -> io::Result<()> {
    let about = match from.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if about.is_symlink() {
        std::os::unix::fs::symlink(std::fs::read_link(from)?, to)
    } else if about.is_file() {
        std::fs::copy(from, to).map(drop)
    } else {
        Ok(())
    }
}
