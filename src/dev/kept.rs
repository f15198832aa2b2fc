//! Workspaces that `run` leaves behind: one a directory, so that they do not fill the disk.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::engine::remove_tree;

/// How the rooms of all runs begin.
pub(super) const PREFIX: &str = "albatros-run-";
/// The folder in a room in which the workspace is kept.
pub(super) const KEPT: &str = "kept";
/// The file in a room that says which directory was built.
const OF: &str = "of";

/// Leaves nothing in a room but its kept workspace, and removes what an earlier run of the same directory has left.
pub(super) fn settle(room: &Path, dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(room)? {
        let entry = entry?;
        if entry.file_name() != KEPT {
            remove(&entry.path())?;
        }
    }
    for earlier in earlier(room, dir)? {
        remove_tree(&earlier)?;
    }
    std::fs::write(room.join(OF), dir.as_os_str().as_bytes())
}

fn remove(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() { remove_tree(path) } else { std::fs::remove_file(path) }
}

/// Others may have put things under such names too where temporary files go: only our own directories count.
fn earlier(room: &Path, dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Some(beside) = room.parent() else { return Ok(found) };
    let us = rustix::process::getuid().as_raw();
    for entry in std::fs::read_dir(beside)? {
        let entry = entry?;
        let path = entry.path();
        let is_room = entry.file_name().as_bytes().starts_with(PREFIX.as_bytes()) && path != room;
        let is_ours = || entry.metadata().is_ok_and(|about| about.is_dir() && about.uid() == us);
        if is_room && is_ours() && std::fs::read(path.join(OF)).is_ok_and(|of| of == dir.as_os_str().as_bytes()) {
            found.push(path);
        }
    }
    Ok(found)
}
