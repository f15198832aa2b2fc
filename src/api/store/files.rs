//! A store of files: what the library does not do for a folder.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use jiff::Timestamp;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use super::StoreError;

/// As deep as keys go, and one more.
const DEPTH: usize = 9;

/// The folder of a store.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    objects: Arc<LocalFileSystem>,
}

impl Files {
    pub(super) fn open(root: &Path) -> Result<Self, StoreError> {
        let failed = |error: io::Error| {
            StoreError::Settings(Box::new(io::Error::new(error.kind(), format!("{}: {error}", root.display()))))
        };
        // What builds leave is for those who may read them, who come through serve.
        match std::fs::DirBuilder::new().mode(0o700).create(root) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        let objects = LocalFileSystem::new_with_prefix(root).map_err(|error| StoreError::Settings(Box::new(error)))?;
        Ok(Self { root: root.to_owned(), objects: Arc::new(objects.with_automatic_cleanup(true)) })
    }

    pub(super) fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.objects) as Arc<dyn ObjectStore>
    }

    pub(super) async fn there(&self) -> Result<(), StoreError> {
        match tokio::fs::metadata(&self.root).await {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) => Err(io::Error::from(io::ErrorKind::NotADirectory).into()),
            Err(error) => Err(error.into()),
        }
    }

    /// What the library writes before an object is whole is called `<name>#<number>`; a server that was killed leaves it.
    pub(super) async fn sweep_unfinished(&self, before: Timestamp) -> Result<usize, StoreError> {
        let root = self.root.clone();
        let before = SystemTime::from(before);
        let swept = tokio::task::spawn_blocking(move || {
            ["repos", "history", "index"].iter().try_fold(0, |sum, ours| Ok(sum + sweep(&root.join(ours), before, 0)?))
        });
        swept.await.map_err(|error| StoreError::Strange(Box::new(error)))?
    }
}

fn sweep(folder: &Path, before: SystemTime, depth: usize) -> Result<usize, StoreError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error.into()),
    };
    let mut swept = 0;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < DEPTH {
            swept += sweep(&entry.path(), before, depth + 1)?;
        } else if kind.is_file() && is_unfinished(&entry.file_name().to_string_lossy()) {
            let old = entry.metadata().and_then(|it| it.modified()).is_ok_and(|modified| modified < before);
            if old && std::fs::remove_file(entry.path()).is_ok() {
                swept += 1;
            }
        }
    }
    Ok(swept)
}

fn is_unfinished(name: &str) -> bool {
    name.rsplit_once('#')
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}
