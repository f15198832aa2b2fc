//! Repositories on this machine, and the files of a working copy as they stand, copied for each build.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Build, Shared, rooms};
use crate::domain::runner::WORKSPACE;

/// A repository on this machine.
#[derive(Debug, Clone)]
pub enum LocalSource {
    /// Its git directory, the one with `objects` in it: COMMIT is checked out of it.
    Repository(PathBuf),
    /// A directory whose files are copied, as they stand when a build begins.
    Files(LocalFiles),
}

/// A directory as it stands.
#[derive(Debug, Clone)]
pub struct LocalFiles {
    /// The directory.
    pub dir: PathBuf,
    /// Which of its files, each name ended by a NUL; none for all that is in it.
    pub list: Option<Arc<[u8]>>,
    /// The git directory that its commits are in, where it has one.
    pub history: Option<PathBuf>,
}

impl LocalFiles {
    /// Copies them to where a build's workspace is.
    fn copy(&self, to: &Path) -> io::Result<()> {
        match &self.list {
            Some(list) => copy_listed(&self.dir, list, to),
            None => copy_all(&self.dir, to),
        }
    }
}

/// Where the files of a build's repository are, if they are on this machine.
pub(super) fn of<'a>(shared: &'a Shared, build: &Build) -> Option<&'a LocalSource> {
    build.recorded().meta.get("REPO_URL").and_then(|url| shared.settings.sources.get(url))
}

impl LocalSource {
    /// Puts the files of a working copy where the workspace is to be; off the runtime, as they may be many.
    pub(super) async fn place(&self, build: &Build) -> io::Result<()> {
        let Self::Files(files) = self else { return Ok(()) };
        let (files, to) = (files.clone(), build.dir.join(rooms::ALLOC).join(WORKSPACE));
        tokio::task::spawn_blocking(move || files.copy(&to)).await.map_err(io::Error::other)?
    }
}

/// Copies what is named, each name ended by a NUL.
fn copy_listed(dir: &Path, list: &[u8], to: &Path) -> io::Result<()> {
    std::fs::create_dir_all(to)?;
    for name in list.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = Path::new(OsStr::from_bytes(name));
        copy_one(&dir.join(name), &to.join(name))?;
    }
    Ok(())
}

/// Copies everything.
fn copy_all(dir: &Path, to: &Path) -> io::Result<()> {
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
