//! What later builds look for: the newest green build of each branch stays beyond its age.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::api::store::{Store, StoreError};
use crate::domain::id::ClaimId;
use crate::domain::place::{Green, Key, Place, RepoHash, RepoPlace};

/// A branch that has seen no green build for so many times the age of builds is none any more.
const TIMES: i32 = 12;
/// Branches and flavors of a repository that are looked at.
const MOST: usize = 10_000;
/// A pointer is a few words.
const GREEN_MOST: u64 = 4 * 1024;

/// The green builds of repositories, read when they are first asked for.
#[derive(Debug)]
pub(super) struct Greens<'a> {
    store: &'a Store,
    /// What was written before this is of no branch any more.
    since: Timestamp,
    known: HashMap<RepoHash, HashSet<ClaimId>>,
    stayed: HashSet<ClaimId>,
}

impl<'a> Greens<'a> {
    pub(super) fn new(store: &'a Store, keep: SignedDuration, now: Timestamp) -> Self {
        let since = keep.checked_mul(TIMES).and_then(|age| now.checked_sub(age).ok()).unwrap_or(Timestamp::MIN);
        Self { store, since, known: HashMap::new(), stayed: HashSet::new() }
    }

    /// Whether a build is the newest green one of some branch.
    pub(super) async fn hold(&mut self, repo: &RepoPlace, claim: &ClaimId) -> Result<bool, StoreError> {
        if !self.known.contains_key(repo.hash()) {
            let read = read(self.store, repo, self.since).await?;
            self.known.insert(repo.hash().clone(), read);
        }
        let holds = self.known.get(repo.hash()).is_some_and(|known| known.contains(claim));
        if holds {
            self.stayed.insert(claim.clone());
        }
        Ok(holds)
    }

    /// All builds that were found to stay.
    pub(super) fn stayed(&self) -> &HashSet<ClaimId> {
        &self.stayed
    }
}

async fn read(store: &Store, repo: &RepoPlace, since: Timestamp) -> Result<HashSet<ClaimId>, StoreError> {
    let mut claims = HashSet::new();
    for one in store.list(&repo.greens(), None, MOST).await? {
        let Some((key, Place::Green(_))) = Key::read(&one.key) else { continue };
        if one.modified < since {
            store.delete(&key).await?;
            continue;
        }
        let green = store.read(&key, GREEN_MOST).await?.and_then(|bytes| serde_json::from_slice::<Green>(&bytes).ok());
        claims.extend(green.map(|green| green.claim));
    }
    Ok(claims)
}
