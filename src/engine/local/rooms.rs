//! A build's directory: its record, its logs, its end, and the rooms that Nomad would give it.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::domain::secret::Secret;

/// Shared by the tasks of a build: `NOMAD_ALLOC_DIR`.
pub(super) const ALLOC: &str = "alloc";
/// The executor's own: `NOMAD_TASK_DIR`.
pub(super) const LOCAL: &str = "local";
/// `NOMAD_SECRETS_DIR`.
pub(super) const SECRETS: &str = "secrets";

/// Makes the rooms; gives the file with the secrets where there are any.
pub(super) fn make(dir: &Path, secrets: Option<&Secret>) -> io::Result<Option<PathBuf>> {
    for room in [ALLOC, LOCAL, SECRETS] {
        DirBuilder::new().recursive(true).mode(0o700).create(dir.join(room))?;
    }
    let Some(secrets) = secrets.filter(|secret| !matches!(secret.expose(), "" | "\n")) else { return Ok(None) };
    let file = dir.join(SECRETS).join("secrets");
    super::files::write_private(&file, secrets.expose().as_bytes())?;
    Ok(Some(file))
}

/// Removes the secrets.
pub(super) fn clear_secrets(dir: &Path) -> io::Result<()> {
    remove(&dir.join(SECRETS))
}

/// Removes the rooms, secrets first, and leaves record, logs and end.
pub(super) fn clear(dir: &Path) -> io::Result<()> {
    [SECRETS, ALLOC, LOCAL].iter().try_for_each(|room| remove(&dir.join(room)))
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
