//! A copy of all ended changes for lists, badges and look-ups: read whole when somebody first asks for it, and from then
//! on kept up by what is new alone. A replica that loses it reads it again.
//!
//! `row` is one change, `table` all of them by time, repository, ref, build, claim and index. See [`Row`] for what that
//! costs.

mod row;
mod table;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::known::OpenList;
use crate::domain::id::ClaimId;
use crate::domain::record::Done;
use crate::registry::{Index, Part, Registry, RegistryError, Stored};

pub(crate) use row::Row;
pub(crate) use table::Table;

/// All names are looked at so often while things end and somebody asks: what ended while nobody saw it open, and before
/// something else that was seen, is missing for so long.
const LIST_EVERY: Duration = Duration::from_secs(3);
/// They are looked at after so long even where the folder's index is the same: Consul forgets after 15 minutes that
/// something was deleted, and then the index goes back to one that it had before.
const SAME_FOR: Duration = Duration::from_secs(300);
/// Single records that are read at once.
const READS: usize = 16;
/// More that are not known, and all are read again.
const SINGLE_MOST: usize = 2_000;

/// The copy.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    table: RwLock<Table>,
    /// None while nobody wants to know.
    fresh: Mutex<Option<Fresh>>,
    state: tokio::sync::Mutex<Option<State>>,
}

/// Up to where the copy is kept up.
#[derive(Debug)]
struct State {
    /// The open changes as they were when it last was.
    open: HashSet<ClaimId>,
    open_index: Index,
    /// Of the newest change among the ended ones when all their names were last read.
    listed: Index,
    listed_at: Instant,
    /// When the names were last read, and not the index alone.
    named_at: Instant,
    is_whole: bool,
    /// What is there and cannot be read: of another version.
    unread: HashSet<ClaimId>,
}

/// What is new to the copy since somebody last took it.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    pub(crate) rows: Vec<Arc<Row>>,
    /// All was read anew, for instance because the registry was restored: what was known before means nothing.
    pub(crate) is_anew: bool,
}

impl Ended {
    /// The copy as it is. Not to be held over a wait.
    pub(crate) fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn table_mut(&self) -> RwLockWriteGuard<'_, Table> {
        self.table.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn fresh(&self) -> MutexGuard<'_, Option<Fresh>> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is new since this was last called, and from now on.
    pub(crate) fn take_fresh(&self) -> Fresh {
        self.fresh().replace(Fresh::default()).unwrap_or_default()
    }

    /// Nobody wants to know what is new any more.
    pub(crate) fn leave_fresh(&self) {
        *self.fresh() = None;
    }

    /// Brings the copy up to `open`, which was read just before: what is open there no longer is in the copy, so that no
    /// change is in neither. What began and ended between two such lists is there within [`LIST_EVERY`]; true says that
    /// nothing is missing that ended until `open` was read.
    ///
    /// # Errors
    /// When the registry does not answer; the copy then is as it was.
    pub(crate) async fn keep_up(&self, registry: &Registry, open: &OpenList) -> Result<bool, RegistryError> {
        let mut kept = self.state.lock().await;
        let Some(state) = kept.as_mut() else {
            *kept = Some(self.read_all(registry, open).await?);
            return Ok(true);
        };
        if state.open_index == open.index && state.listed_at.elapsed() < LIST_EVERY {
            return Ok(state.is_whole);
        }
        let now: HashSet<&ClaimId> = open.iter().map(|(claim, _)| claim).collect();
        let left: Vec<ClaimId> = state.open.iter().filter(|claim| !now.contains(claim)).cloned().collect();
        // The state before what left is read: what ends meanwhile is found by another look.
        let index = registry.done_index().await?;
        // What is gone moves the index too, but only for a time: it may go back to that of the newest that is there.
        if self.table().newest().is_some_and(|newest| index < newest) {
            *kept = Some(self.read_all(registry, open).await?);
            return Ok(true);
        }
        self.read(registry, left).await?;
        if index == state.listed && state.named_at.elapsed() < SAME_FOR {
            state.listed_at = Instant::now();
        } else if state.listed_at.elapsed() >= LIST_EVERY || !self.is_explained(index) {
            let now = Instant::now();
            match self.list(registry, &mut state.unread).await? {
                Some(listed) => (state.listed, state.listed_at, state.named_at) = (listed, Instant::now(), now),
                None => {
                    *kept = Some(self.read_all(registry, open).await?);
                    return Ok(true);
                }
            }
        }
        state.is_whole = index <= state.listed;
        state.open = open.iter().map(|(claim, _)| claim.clone()).collect();
        state.open_index = open.index;
        Ok(state.is_whole)
    }

    /// Whether the newest change, at `index`, is one that is known: then nothing newer is missing.
    fn is_explained(&self, index: Index) -> bool {
        self.table().newest() == Some(index)
    }

    /// Everything, in parts, so that never all of it is in memory as it is stored.
    async fn read_all(&self, registry: &Registry, open: &OpenList) -> Result<State, RegistryError> {
        let named_at = Instant::now();
        let listed = registry.done_index().await?;
        let mut table = Table::default();
        for part in Part::all() {
            table.fill(&registry.part_of_done(part).await?);
        }
        table.sort();
        *self.table_mut() = table;
        if let Some(fresh) = self.fresh().as_mut() {
            *fresh = Fresh { rows: Vec::new(), is_anew: true };
        }
        let open_claims = open.iter().map(|(claim, _)| claim.clone()).collect();
        let unread = HashSet::new();
        Ok(State {
            open: open_claims,
            open_index: open.index,
            listed,
            listed_at: Instant::now(),
            named_at,
            is_whole: true,
            unread,
        })
    }

    /// Reads all names, what is new among them, and forgets what is gone. None: too much is new.
    async fn list(&self, registry: &Registry, unread: &mut HashSet<ClaimId>) -> Result<Option<Index>, RegistryError> {
        let (index, claims) = registry.done_claims().await?;
        let unknown: Vec<ClaimId> = {
            let table = self.table();
            let is_new = |claim: &&ClaimId| !unread.contains(*claim) && table.claim(claim).is_none();
            claims.iter().filter(is_new).cloned().collect()
        };
        if unknown.len() > SINGLE_MOST {
            return Ok(None);
        }
        self.read(registry, unknown.clone()).await?;
        let mut table = self.table_mut();
        unread.extend(unknown.into_iter().filter(|claim| table.claim(claim).is_none()));
        if table.len() + unread.len() > claims.len() {
            let there: HashSet<ClaimId> = claims.into_iter().collect();
            unread.retain(|claim| there.contains(claim));
            table.remove(|row| row.index() <= index && row.claim().is_none_or(|claim| !there.contains(&claim)));
        }
        Ok(Some(index))
    }

    /// Reads single changes; those that are not there are no ended ones, or not any more.
    async fn read(&self, registry: &Registry, claims: Vec<ClaimId>) -> Result<(), RegistryError> {
        let one = async |claim: ClaimId| match registry.ended(&claim).await {
            Ok(found) => Ok(found.map(|stored| (claim, stored))),
            // Of another version, or not to be read: left out of lists too.
            Err(RegistryError::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        };
        let found: Vec<Option<(ClaimId, Stored<Done>)>> =
            stream::iter(claims).map(one).buffer_unordered(READS).try_collect().await?;
        let mut table = self.table_mut();
        let new: Vec<_> =
            found.into_iter().flatten().filter_map(|(claim, stored)| table.insert(&claim, &stored)).collect();
        if let Some(fresh) = self.fresh().as_mut() {
            fresh.rows.extend(new);
            if fresh.rows.len() > SINGLE_MOST {
                *fresh = Fresh { rows: Vec::new(), is_anew: true };
            }
        }
        Ok(())
    }
}

#[cfg(test)]
impl Ended {
    /// With these, which have ended one after the other.
    pub(crate) fn with(all: &[(ClaimId, Done)]) -> Self {
        let ended = Self::default();
        let stored = |(n, (claim, done)): (usize, &(ClaimId, Done))| {
            (claim.clone(), Stored { value: done.clone(), index: Index(n as u64 + 1) })
        };
        let part: Vec<_> = all.iter().enumerate().map(stored).collect();
        ended.table_mut().fill(&part);
        ended.table_mut().sort();
        ended
    }
}
