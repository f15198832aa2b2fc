//! A build's directory: its record, its logs, its end, and the rooms that Nomad would give it.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::domain::outcome::EXECUTOR;
use crate::domain::runner::{CONTROLLER, PREPARE, SIDECAR};

/// Shared by the tasks of a build: `NOMAD_ALLOC_DIR`.
pub(super) const ALLOC: &str = "alloc";
/// The tasks, in the order in which they are started.
pub(super) const TASKS: [&str; 4] = [CONTROLLER, SIDECAR, PREPARE, EXECUTOR];

/// The variable that tells a controller to take connections beside its socket's.
pub(super) const LISTEN: &str = "ALBATROS_CONTROLLER_LISTEN";

/// What a task has for itself.
#[derive(Debug, Clone, Copy)]
pub(super) enum Room {
    /// `NOMAD_TASK_DIR`
    Local,
    /// `NOMAD_SECRETS_DIR`
    Secrets,
}

/// Where a task's room is.
pub(super) fn of_task(dir: &Path, task: &str, room: Room) -> PathBuf {
    dir.join(task).join(match room {
        Room::Local => "local",
        Room::Secrets => "secrets",
    })
}

/// The name of a task's log in the build's directory.
pub(super) fn log_file(task: &str, stream: &str) -> String {
    if task == EXECUTOR { stream.to_owned() } else { format!("{task}.{stream}") }
}

/// Makes the rooms.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    let make = |room: PathBuf| DirBuilder::new().recursive(true).mode(0o700).create(room);
    make(dir.join(ALLOC))?;
    for task in TASKS {
        make(of_task(dir, task, Room::Local))?;
        make(of_task(dir, task, Room::Secrets))?;
    }
    Ok(())
}

/// Removes the secrets.
pub(super) fn clear_secrets(dir: &Path) -> io::Result<()> {
    TASKS.iter().try_for_each(|task| remove(&of_task(dir, task, Room::Secrets)))
}

/// Removes the rooms, secrets first, and leaves record, logs and end.
pub(super) fn clear(dir: &Path) -> io::Result<()> {
    clear_secrets(dir)?;
    TASKS.iter().chain(&[ALLOC]).try_for_each(|room| remove(&dir.join(room)))
}

/// Removes a tree, also one whose directories were made read-only, as package managers do with their caches.
///
/// # Errors
/// When something stays.
pub fn remove(tree: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(tree) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(tree)?;
            std::fs::remove_dir_all(tree)
        }
        other => other,
    }
}

fn open_up(tree: &Path) -> io::Result<()> {
    let mut rest = vec![tree.to_owned()];
    while let Some(dir) = rest.pop() {
        std::fs::set_permissions(&dir, Permissions::from_mode(0o700))?;
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                rest.push(entry.path());
            }
        }
    }
    Ok(())
}
