//! Manifests: what there is, and where its bytes are.

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use crate::api::store::{Meta, Store, StoreError};
use crate::domain::blob::{Kept, Manifest};
use crate::domain::id::{BlobId, Flavor};
use crate::domain::place::{BuildPlace, Folder, Green, Key, Place, RepoPlace, Trust};

/// A manifest is a few hundred bytes.
const MANIFEST_MOST: u64 = 64 * 1024;
/// Manifests that are read at once.
const READS: usize = 16;

/// A manifest as it was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) kept: Kept,
    /// When its manifest was last written: of a cache, about when it was last used.
    pub(crate) written: Timestamp,
    /// Its manifest, as it stands in the store.
    pub(crate) bytes: Bytes,
}

/// A manifest, if there is one that makes sense.
pub(crate) async fn find(store: &Store, key: &Key) -> Result<Option<Found>, StoreError> {
    let Some((Meta { modified, .. }, bytes)) = store.read_with(key, MANIFEST_MOST).await? else { return Ok(None) };
    Ok(parse(key, &bytes).map(|kept| Found { kept, written: modified, bytes }))
}

fn parse<T: DeserializeOwned>(key: &Key, bytes: &Bytes) -> Option<T> {
    let parsed = serde_json::from_slice(bytes);
    parsed.inspect_err(|error| tracing::warn!(key = key.as_str(), %error, "an object of the store makes no sense")).ok()
}

/// All artifacts of a build, by name.
pub(crate) async fn artifacts(store: &Store, build: &BuildPlace, most: usize) -> Result<Vec<Manifest>, StoreError> {
    let listed = store.list(&build.artifacts(), None, most).await?;
    let ids: Vec<BlobId> = listed.iter().filter_map(|one| build.artifact_of(&Key::read(&one.key)?.0)).collect();
    let keys = ids.into_iter().map(|id| build.artifact(&id));
    let found: Vec<Option<Found>> =
        stream::iter(keys).map(|key| async move { find(store, &key).await }).buffered(READS).try_collect().await?;
    Ok(found.into_iter().flatten().map(|found| found.kept.manifest).collect())
}

/// How many manifests there are in a folder, of at most `most` that matter.
pub(crate) async fn count(store: &Store, folder: &Folder, most: usize) -> Result<usize, StoreError> {
    // The bytes of caches lie in the same folder: two for each, and those on their way.
    let listed = store.list(folder, None, most.saturating_mul(2).saturating_add(READS)).await?;
    let is_manifest = |place: &Place| {
        matches!(place, Place::Cache(..) | Place::Build(_, _, crate::domain::place::InBuild::Artifact(_)))
    };
    Ok(listed.iter().filter(|one| Place::read(&one.key).as_ref().is_some_and(is_manifest)).count())
}

/// The cache whose id begins with `start` that was made last.
pub(crate) async fn newest_cache(
    store: &Store,
    repo: &RepoPlace,
    trust: Trust,
    start: &BlobId,
    most: usize,
) -> Result<Option<Found>, StoreError> {
    let folder = repo.caches(trust);
    let listed = store.list(&folder, Some(&folder.before(start)), most.saturating_mul(2)).await?;
    let mut candidates: Vec<(Timestamp, BlobId)> = listed
        .iter()
        .filter_map(|one| match Place::read(&one.key)? {
            Place::Cache(_, _, id) if id.as_str().starts_with(start.as_str()) => Some((one.modified, id)),
            _ => None,
        })
        .collect();
    candidates.sort_by(|a, b| b.cmp(a));
    let mut newest: Option<Found> = None;
    for (written, id) in candidates {
        // A manifest is written when it is made and again when it is used, so never before it was made; by two clocks.
        let made = newest.as_ref().map(|found| found.kept.manifest.created);
        if made.is_some_and(|made| written + jiff::SignedDuration::from_secs(60) < made) {
            break;
        }
        if let Some(found) = find(store, &repo.cache(trust, &id)).await?
            && made.is_none_or(|made| made < found.kept.manifest.created)
        {
            newest = Some(found);
        }
    }
    Ok(newest)
}

/// The newest green build of a ref that a build of this trust may read of.
pub(crate) async fn newest_green(
    store: &Store,
    repo: &RepoPlace,
    trust: Trust,
    git_ref: &str,
    flavor: &Flavor,
) -> Result<Option<Green>, StoreError> {
    let read = async |trust| {
        let key = repo.green(trust, git_ref, flavor);
        let bytes = store.read(&key, MANIFEST_MOST).await?;
        Ok::<_, StoreError>(bytes.and_then(|bytes| parse::<Green>(&key, &bytes)))
    };
    let trusted = read(Trust::Trusted).await?;
    match trust {
        Trust::Trusted => Ok(trusted),
        Trust::Untrusted => {
            let other = read(Trust::Untrusted).await?;
            Ok([trusted, other].into_iter().flatten().max_by_key(|green| green.finished))
        }
    }
}
