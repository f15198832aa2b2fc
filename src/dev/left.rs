//! The artifacts that a `run` has left, taken out of its store to where they can be looked at.

use std::io;
use std::path::{Path, PathBuf};

use futures_util::StreamExt as _;

use super::places::Artifacts;
use crate::api::store::{Store, StoreError};
use crate::domain::blob::{Kept, Packing};
use crate::domain::id::{BlobId, ClaimId};
use crate::domain::place::{BuildPlace, RepoPlace};
use crate::domain::repo_url::RepoUrl;
use crate::engine::remove_tree;
use crate::sidecar::pack::{Incoming, Limits, PackError};

/// More artifacts than this no build can leave.
const MOST: usize = 1_000;
/// A manifest is a few hundred bytes.
const MANIFEST_MOST: u64 = 64 << 10;

/// Why an artifact could not be taken out.
#[derive(Debug, thiserror::Error)]
pub enum LeftError {
    /// The store did not give it.
    #[error("the store does not give it")]
    Store(#[from] StoreError),
    /// Its manifest is none.
    #[error("its manifest cannot be read")]
    Manifest(#[from] serde_json::Error),
    /// It could not be unpacked.
    #[error("it cannot be unpacked")]
    Pack(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The directory cannot be used.
    #[error("{0} cannot be used for artifacts")]
    Dir(PathBuf, #[source] io::Error),
}

impl From<PackError> for LeftError {
    fn from(error: PackError) -> Self {
        Self::Pack(Box::new(error))
    }
}

/// Takes a build's artifacts out, each into a directory of its own, and says which these are.
///
/// # Errors
/// See [`LeftError`].
pub(super) async fn take(
    store: &Store,
    (repo, claim): (&RepoUrl, &ClaimId),
    to: &Artifacts,
) -> Result<Vec<PathBuf>, LeftError> {
    let place = RepoPlace::of(repo.canonical()).build(claim);
    let folder = place.artifacts();
    let mut ids = Vec::new();
    for listed in store.list(&folder, None, MOST).await? {
        let name = listed.key.strip_prefix(folder.as_str()).unwrap_or_default().trim_start_matches('/');
        ids.extend(name.strip_suffix(".json").and_then(|id| id.parse::<BlobId>().ok()));
    }
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let failed = |error| LeftError::Dir(to.dir.clone(), error);
    if to.fresh {
        remove_tree(&to.dir).map_err(failed)?;
    }
    let mut taken = Vec::new();
    for id in &ids {
        let dir = to.dir.join(id.as_str());
        std::fs::create_dir_all(&dir).map_err(failed)?;
        taken.extend(one(store, &place, id, &dir).await?);
    }
    Ok(taken)
}

async fn one(store: &Store, place: &BuildPlace, id: &BlobId, dir: &Path) -> Result<Option<PathBuf>, LeftError> {
    let Some(manifest) = store.read(&place.artifact(id), MANIFEST_MOST).await? else { return Ok(None) };
    let kept: Kept = serde_json::from_slice(&manifest)?;
    let Some(mut object) = store.get(&place.object(&kept.object)).await? else { return Ok(None) };
    let name = kept.manifest.name.as_deref().unwrap_or(id.as_str());
    let mut incoming = Incoming::start(dir, kept.manifest.packing, name, Limits::default())?;
    while let Some(piece) = object.bytes.next().await {
        if !incoming.feed(piece?).await {
            break;
        }
    }
    incoming.finish(Some(kept.manifest.size), Some(&kept.manifest.sha256)).await?;
    Ok(Some(match kept.manifest.packing {
        Packing::File => dir.join(name),
        Packing::Archive => dir.to_owned(),
    }))
}
