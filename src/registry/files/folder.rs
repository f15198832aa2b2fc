//! The data directory: taken by one process, each file written whole or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::id::ClaimId;
use crate::domain::record::VERSION;
use crate::registry::{Index, Stored};

/// Why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// Another process works on it.
    #[error("another albatros works on {0}: end it, or choose another data directory")]
    Taken(PathBuf),
    /// Reading or writing failed.
    #[error("cannot {verb} {path}")]
    File {
        /// `read`, `write`, …
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// A record that cannot become JSON.
    #[error("a record cannot be written")]
    Json(#[source] serde_json::Error),
    /// The record on disk is of another version, or damaged.
    #[error("the record {0} was not written by this version of albatros; it is left alone")]
    Foreign(String),
    /// The system gave no random numbers.
    #[error("no random numbers")]
    Random(#[source] getrandom::Error),
}

/// How files begin that have not got their name yet.
const UNFINISHED: &str = ".new-";

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> FilesError {
    let path = path.to_owned();
    move |source| FilesError::File { verb, path, source }
}

/// What stands in a file.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    index: u64,
    value: T,
}

/// A part of the directory, read.
pub(super) struct Loaded<T> {
    /// What can be read.
    pub(super) found: BTreeMap<ClaimId, Stored<T>>,
    /// What another version wrote, or what is damaged.
    pub(super) foreign: BTreeSet<ClaimId>,
}

fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<Stored<T>, String> {
    let kept = serde_json::from_slice::<Kept<serde_json::Value>>(text).map_err(|error| error.to_string())?;
    let version = kept.value.get("version").and_then(serde_json::Value::as_u64);
    if version != Some(u64::from(VERSION)) {
        return Err(format!("its version is not {VERSION}"));
    }
    let value = serde_json::from_value(kept.value).map_err(|error| error.to_string())?;
    Ok(Stored { value, index: Index(kept.index) })
}

/// The text of a record's file.
fn kept<T: Serialize>(stored: &Stored<T>) -> Result<Vec<u8>, FilesError> {
    serde_json::to_vec(&Kept { index: stored.index.0, value: &stored.value }).map_err(FilesError::Json)
}

/// A data directory that is ours.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    /// Open as long as the directory is ours: the lock ends with the file, however the process ends.
    _lock: File,
}

impl Folder {
    pub(super) fn take(path: &Path) -> Result<Self, FilesError> {
        for part in ["open", "done", "report", "approved"] {
            let folder = path.join(part);
            std::fs::create_dir_all(&folder).map_err(failed("make", &folder))?;
        }
        let name = path.join("lock");
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&name);
        let lock = options.map_err(failed("open", &name))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(FilesError::Taken(path.to_owned())),
            Err(error) => Err(failed("lock", &name)(error.into())),
        }
    }

    fn file(&self, part: &str, name: &str) -> PathBuf {
        self.path.join(part).join(format!("{name}.json"))
    }

    /// Everything of a part. What cannot be read is logged, named, and left where it is.
    pub(super) fn load<T: DeserializeOwned>(&self, part: &str) -> Result<Loaded<T>, FilesError> {
        let folder = self.path.join(part);
        let mut loaded = Loaded { found: BTreeMap::new(), foreign: BTreeSet::new() };
        for entry in std::fs::read_dir(&folder).map_err(failed("read", &folder))? {
            let path = entry.map_err(failed("read", &folder))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(UNFINISHED) {
                Self::discard(&path)?;
                continue;
            }
            let Some(id) = name.strip_suffix(".json").and_then(|id| id.parse::<ClaimId>().ok()) else { continue };
            let text = std::fs::read(&path).map_err(failed("read", &path))?;
            if text.is_empty() {
                Self::discard(&path)?;
                continue;
            }
            match parse::<T>(&text) {
                Ok(stored) => {
                    loaded.found.insert(id, stored);
                }
                Err(reason) => {
                    tracing::warn!(path = %path.display(), reason, "record left alone");
                    loaded.foreign.insert(id);
                }
            }
        }
        Ok(loaded)
    }

    /// Writes a file so that whoever reads it, also after this process was killed, sees the old text or the new one.
    /// The disk may have it a moment later: syncing costs milliseconds that a hook and the start of a build would wait
    /// for, and a machine that loses power has lost the build anyway.
    pub(super) fn put<T: Serialize>(&self, part: &str, id: &ClaimId, stored: &Stored<T>) -> Result<(), FilesError> {
        let file = self.replace(part, id.as_str(), &kept(stored)?, |_| Ok(()))?;
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || file.sync_data());
        }
        Ok(())
    }

    /// The same, and the disk has it before anybody sees it.
    pub(super) fn put_on_disk<T: Serialize>(
        &self,
        part: &str,
        id: &ClaimId,
        stored: &Stored<T>,
    ) -> Result<(), FilesError> {
        self.put_named(part, id.as_str(), stored)
    }

    /// The same for what is named otherwise.
    pub(super) fn put_named<T: Serialize>(&self, part: &str, name: &str, stored: &Stored<T>) -> Result<(), FilesError> {
        self.replace(part, name, &kept(stored)?, File::sync_data).map(|_| ())
    }

    fn replace(
        &self,
        part: &str,
        name: &str,
        text: &[u8],
        before: impl FnOnce(&File) -> std::io::Result<()>,
    ) -> Result<File, FilesError> {
        let path = self.file(part, name);
        let folder = self.path.join(part);
        let mut new =
            tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&folder).map_err(failed("write", &path))?;
        new.write_all(text).map_err(failed("write", &path))?;
        before(new.as_file()).map_err(failed("write", &path))?;
        new.persist(&path).map_err(|error| failed("write", &path)(error.error))
    }

    /// A value that is read when it is asked for, and has no index.
    pub(super) fn put_value<T: Serialize>(&self, part: &str, id: &ClaimId, value: &T) -> Result<(), FilesError> {
        let text = serde_json::to_vec(value).map_err(FilesError::Json)?;
        self.replace(part, id.as_str(), &text, |_| Ok(())).map(|_| ())
    }

    /// Reads it; none where there is none.
    pub(super) fn value<T: DeserializeOwned>(&self, part: &str, id: &ClaimId) -> Result<Option<T>, FilesError> {
        let path = self.file(part, id.as_str());
        match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|_damaged| FilesError::Foreign(id.to_string())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// Reads what [`Folder::put_named`] wrote; none where there is none.
    pub(super) fn named<T: DeserializeOwned>(&self, part: &str, name: &str) -> Result<Option<Stored<T>>, FilesError> {
        let path = self.file(part, name);
        match std::fs::read(&path) {
            Ok(text) => parse(&text).map(Some).map_err(|_damaged| FilesError::Foreign(format!("{part}/{name}"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read", &path)(error)),
        }
    }

    /// The names of a part; the caller's mutex is what makes sure that nobody is just writing one.
    pub(super) fn names(&self, part: &str) -> Result<Vec<String>, FilesError> {
        let folder = self.path.join(part);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(failed("read", &folder))? {
            let entry = entry.map_err(failed("read", &folder))?;
            let file = entry.file_name();
            let name = file.to_str().unwrap_or_default();
            if name.starts_with(UNFINISHED) {
                Self::discard(&entry.path())?;
            }
            names.extend(name.strip_suffix(".json").map(str::to_owned));
        }
        Ok(names)
    }

    /// What a process did not finish, or what never reached the disk.
    fn discard(path: &Path) -> Result<(), FilesError> {
        tracing::debug!(path = %path.display(), "unfinished file removed");
        std::fs::remove_file(path).map_err(failed("remove", path))
    }

    pub(super) fn remove(&self, part: &str, id: &ClaimId) -> Result<(), FilesError> {
        let path = self.file(part, id.as_str());
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", &path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}
