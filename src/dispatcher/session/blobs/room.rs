//! Where a build's blobs are: the place of the change, whichever of its jobs asks.

use crate::api::store::Store;
use crate::dispatcher::App;
use crate::dispatcher::session::caller::Caller;
use crate::dispatcher::session::refusal::Refusal;
use crate::domain::blob::BlobKind;
use crate::domain::id::{BlobId, ClaimId, UploadId};
use crate::domain::place::{BuildPlace, Folder, Key, RepoPlace, Trust};
use crate::domain::record::Record;
use crate::domain::secret::Secret;

/// Jobs of jobs, and so on: more is a record that points at itself.
const DEPTH: usize = 8;

/// A build that may put and get blobs now.
#[derive(Debug)]
pub(super) struct Room<'a> {
    pub(super) app: &'a App,
    pub(super) store: &'a Store,
    /// The caller's own.
    pub(super) claim: ClaimId,
    pub(super) record: Record,
    pub(super) repo: RepoPlace,
    /// Of the change: all its jobs have one.
    pub(super) build: BuildPlace,
    pub(super) trust: Trust,
}

impl<'a> Room<'a> {
    /// The room of who holds the session of a build that runs.
    pub(super) async fn of(app: &'a App, claim: &str, secret: &Secret) -> Result<Self, Refusal> {
        let caller = Caller::of(claim, secret)?;
        let _place = app.sessions.place()?;
        let record = caller.build(app).await?.value;
        let store = app.store.as_ref().ok_or_else(Refusal::no_store)?;
        let repo = RepoPlace::of(&record.canonical);
        let build = repo.build(&change(app, &caller.claim, &record).await?);
        let trust = Trust::of(record.trusted);
        Ok(Self { app, store, claim: caller.claim, record, repo, build, trust })
    }

    /// The manifest that this build may write.
    pub(super) fn manifest(&self, kind: BlobKind, id: &BlobId) -> Key {
        match kind {
            BlobKind::Artifact => self.build.artifact(id),
            BlobKind::Cache => self.repo.cache(self.trust, id),
        }
    }

    /// The bytes that this build may write.
    pub(super) fn object(&self, upload: &UploadId) -> Key {
        match upload.kind() {
            BlobKind::Artifact => self.build.object(upload),
            BlobKind::Cache => self.repo.cache_object(self.trust, upload),
        }
    }

    /// Where manifests are counted.
    pub(super) fn folder(&self, kind: BlobKind) -> Folder {
        match kind {
            BlobKind::Artifact => self.build.artifacts(),
            BlobKind::Cache => self.repo.caches(self.trust),
        }
    }
}

/// The claim of the change that a build belongs to: its own, or for a job that of the build that started it.
async fn change(app: &App, claim: &ClaimId, record: &Record) -> Result<ClaimId, Refusal> {
    let (mut claim, mut parent) = (claim.clone(), record.parent.clone());
    for _ in 0..DEPTH {
        let Some(above) = parent else { return Ok(claim) };
        claim = above.claim;
        parent = match app.registry.open(&claim).await? {
            Some(stored) => stored.value.parent,
            None => app.registry.done(&claim).await?.and_then(|done| done.parent),
        };
    }
    Err(Refusal::forbidden("the build is a job of too many jobs"))
}
