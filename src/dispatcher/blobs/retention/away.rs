//! Takes away: manifests first, so that nothing can be read of which a part is gone.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use crate::api::store::{Store, StoreError};
use crate::dispatcher::blobs::shelf;
use crate::domain::id::BlobId;
use crate::domain::place::{BuildPlace, InBuild, Key, Place, RepoPlace, Trust};

/// Objects that are deleted at once.
const AT_ONCE: usize = 8;
/// Objects that are listed at once.
const PAGE: usize = 1_000;

#[derive(Debug)]
pub(super) struct Away<'a> {
    pub(super) store: &'a Store,
}

impl<'a> Away<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store }
    }

    pub(super) async fn one(&self, key: &Key) -> Result<(), StoreError> {
        self.store.delete(key).await
    }

    /// Everything of a change.
    pub(super) async fn build(&self, build: &BuildPlace) -> Result<(), StoreError> {
        self.all_of(build, true).await?;
        self.all_of(build, false).await
    }

    async fn all_of(&self, build: &BuildPlace, manifests: bool) -> Result<(), StoreError> {
        let folder = if manifests { build.artifacts() } else { build.all() };
        let mut after = None;
        loop {
            let page = self.store.list(&folder, after.as_ref(), PAGE).await?;
            let ours = |key: &str| match Key::read(key)? {
                (key, Place::Build(_, _, InBuild::Artifact(_))) => Some(key),
                (key, Place::Build(..)) if !manifests => Some(key),
                _ => None,
            };
            let keys: Vec<Key> = page.iter().filter_map(|one| ours(&one.key)).collect();
            let last = keys.last().cloned();
            let deleted = stream::iter(keys).map(|key| async move { self.one(&key).await });
            let deleted = deleted.buffer_unordered(AT_ONCE);
            deleted.try_collect::<()>().await?;
            if page.len() < PAGE {
                return Ok(());
            }
            // What is not ours stays, and must not be listed for ever.
            let Some(last) = last else { return Ok(()) };
            after = Some(last);
        }
    }

    /// A cache, unless it was used since it was seen; whether it went.
    pub(super) async fn cache(
        &self,
        repo: &RepoPlace,
        trust: Trust,
        id: &BlobId,
        seen: Timestamp,
    ) -> Result<bool, StoreError> {
        let key = repo.cache(trust, id);
        let Some(found) = shelf::find(self.store, &key).await? else {
            // No manifest, or one that makes no sense: its bytes go as an upload that nobody committed.
            self.one(&key).await?;
            return Ok(true);
        };
        if found.written > seen {
            return Ok(false);
        }
        self.one(&key).await?;
        self.one(&repo.cache_object(trust, &found.kept.object)).await?;
        Ok(true)
    }
}
