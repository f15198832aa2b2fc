//! One look through all of the store: what there is of builds and caches, how old and how large.
//!
//! What belongs to one build or to one folder of caches comes together, in a bucket by the order of keys and in a folder
//! by the order of the walk; so only one of them is held in full, and of the others a few bytes each.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::away::Away;
use crate::api::store::{Listed, Store, StoreError};
use crate::dispatcher::blobs::shelf;
use crate::domain::id::{BlobId, ClaimId, UploadId};
use crate::domain::place::{Folder, InBuild, Key, Place, RepoHash, RepoPlace, Trust};

/// A build or a cache.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) repo: u32,
    pub(super) what: What,
    /// The newest of it.
    pub(super) written: Timestamp,
    /// Bytes.
    pub(super) size: u64,
}

#[derive(Debug)]
pub(super) enum What {
    /// Everything of a change, by the digest that its claim spells.
    Build([u8; 32]),
    /// A cache.
    Cache(Trust, BlobId),
}

#[derive(Debug, Default)]
pub(super) struct Survey {
    repos: Vec<RepoHash>,
    pub(super) seen: Vec<Seen>,
    /// Uploads without a manifest that were taken away.
    pub(super) swept: usize,
}

impl Survey {
    pub(super) fn repo(&self, number: u32) -> RepoPlace {
        let hash = usize::try_from(number).ok().and_then(|at| self.repos.get(at));
        // Numbers are made from this very list.
        hash.cloned().map_or_else(|| RepoPlace::of(""), RepoPlace::by_hash)
    }

    fn number(&mut self, repo: &RepoHash) -> u32 {
        if self.repos.last() != Some(repo) {
            self.repos.push(repo.clone());
        }
        u32::try_from(self.repos.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }
}

/// Whose things come together.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Group {
    Build(RepoHash, ClaimId),
    Caches(RepoHash, Trust),
}

/// One group, in full.
#[derive(Debug, Default)]
struct Held {
    manifests: Vec<(Key, BlobId, Timestamp, u64)>,
    objects: Vec<(Key, UploadId, Timestamp, u64)>,
    newest: Option<Timestamp>,
    size: u64,
}

/// Looks, and takes away what nobody committed `before` that.
pub(super) async fn survey(store: &Store, away: &Away<'_>, before: Timestamp) -> Result<Survey, StoreError> {
    let mut survey = Survey::default();
    let (mut group, mut held) = (None, Held::default());
    let mut all = store.walk(&Folder::all());
    while let Some(one) = all.next().await {
        let one = one?;
        let Some((key, place)) = Key::read(&one.key) else { continue };
        let Some(its) = group_of(&place) else { continue };
        if group.as_ref() != Some(&its) {
            survey.close(away, group.replace(its), std::mem::take(&mut held), before).await?;
        }
        held.take(key, place, &one);
    }
    survey.close(away, group, held, before).await?;
    Ok(survey)
}

fn group_of(place: &Place) -> Option<Group> {
    match place {
        Place::Build(repo, claim, _) => Some(Group::Build(repo.clone(), claim.clone())),
        Place::Cache(repo, trust, _) | Place::CacheObject(repo, trust, _) => Some(Group::Caches(repo.clone(), *trust)),
        Place::Green(_) | Place::History(..) | Place::Index => None,
    }
}

impl Held {
    fn take(&mut self, key: Key, place: Place, one: &Listed) {
        self.newest = self.newest.max(Some(one.modified));
        self.size += one.size;
        match place {
            Place::Build(_, _, InBuild::Artifact(id)) | Place::Cache(_, _, id) => {
                self.manifests.push((key, id, one.modified, one.size));
            }
            Place::Build(_, _, InBuild::Object(upload)) | Place::CacheObject(_, _, upload) => {
                self.objects.push((key, upload, one.modified, one.size));
            }
            Place::Build(_, _, InBuild::Log | InBuild::Record)
            | Place::Green(_)
            | Place::History(..)
            | Place::Index => {}
        }
    }
}

impl Survey {
    /// A group is seen in full: what nobody committed goes, the rest is written down.
    async fn close(
        &mut self,
        away: &Away<'_>,
        group: Option<Group>,
        mut held: Held,
        before: Timestamp,
    ) -> Result<(), StoreError> {
        let Some(group) = group else { return Ok(()) };
        let read_all = matches!(group, Group::Caches(..));
        let old = held.objects.iter().any(|(_, _, written, _)| *written < before);
        let mut of_manifests = Vec::new();
        if read_all || (old && held.objects.len() > held.manifests.len()) {
            for (key, id, written, size) in &held.manifests {
                let found = shelf::find(away.store, key).await?;
                let upload = found.map(|found| found.kept.object);
                of_manifests.push((id.clone(), *written, *size, upload));
            }
            let named: HashSet<&UploadId> =
                of_manifests.iter().filter_map(|(_, _, _, upload)| upload.as_ref()).collect();
            let is_orphan = |upload: &UploadId, written: &Timestamp| *written < before && !named.contains(upload);
            for (key, upload, written, size) in &held.objects {
                if is_orphan(upload, written) {
                    away.one(key).await?;
                    self.swept += 1;
                    held.size = held.size.saturating_sub(*size);
                }
            }
        }
        let repo = match &group {
            Group::Build(repo, _) | Group::Caches(repo, _) => self.number(repo),
        };
        match group {
            Group::Build(_, claim) => {
                let (Some(written), Some(digest)) = (held.newest, claim.digest()) else { return Ok(()) };
                self.seen.push(Seen { repo, what: What::Build(digest), written, size: held.size });
            }
            Group::Caches(_, trust) => {
                for (id, written, own, upload) in of_manifests {
                    let object = held.objects.iter().find(|(_, known, _, _)| Some(known) == upload.as_ref());
                    let size = own + object.map_or(0, |(_, _, _, size)| *size);
                    self.seen.push(Seen { repo, what: What::Cache(trust, id), written, size });
                }
            }
        }
        Ok(())
    }
}
