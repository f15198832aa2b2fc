//! Where a `run` has its things: a room that goes with it, and a cache that stays.

use std::path::{Path, PathBuf};

use super::RunSettings;
use super::cache::Cache;
use crate::engine::Keep;

/// Where a `run` has its things.
#[derive(Debug)]
pub(super) struct Places {
    /// Goes with the run.
    pub(super) room: PathBuf,
    /// Workspaces that stay.
    pub(super) keep: Keep,
    /// Artifacts and caches.
    pub(super) store: PathBuf,
    /// Where artifacts are put.
    pub(super) artifacts: Artifacts,
}

/// Where artifacts are put.
#[derive(Debug)]
pub(super) struct Artifacts {
    pub(super) dir: PathBuf,
    /// It is ours alone: what an earlier run has left there goes.
    pub(super) fresh: bool,
}

impl Places {
    /// Without a cache nothing is restored, and artifacts go where temporary files do.
    pub(super) fn of(settings: &RunSettings, dir: &Path, room: &Path, keep: Keep) -> Self {
        let cache = settings.cache.as_deref().and_then(|root| {
            let opened = Cache::open(root, dir);
            opened.inspect_err(|error| tracing::warn!(%error, "{} cannot be used", root.display())).ok()
        });
        let store = cache.as_ref().map_or_else(|| room.join("store"), Cache::store);
        let artifacts = match (&settings.artifacts, cache) {
            (Some(dir), _) => Artifacts { dir: dir.clone(), fresh: false },
            (None, Some(cache)) => Artifacts { dir: cache.artifacts(), fresh: true },
            (None, None) => Artifacts { dir: settings.temp.join("albatros-artifacts"), fresh: true },
        };
        Self { room: room.to_owned(), keep, store, artifacts }
    }
}
