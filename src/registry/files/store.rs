//! All records of a data directory, in memory and on disk; the caller's mutex is what makes each call a transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Instant;

use super::folder::{FilesError, Folder, Loaded};
use super::{Claimed, Index, Lease, Stored, Written};
use crate::domain::id::ClaimId;
use crate::domain::record::{Done, Record};
use crate::domain::report::Report;
use crate::registry::LEASE_TTL;

/// All records, and who is the follower.
#[derive(Debug)]
pub(super) struct Store {
    folder: Folder,
    open: BTreeMap<ClaimId, Stored<Record>>,
    done: BTreeMap<ClaimId, Stored<Done>>,
    foreign: BTreeSet<ClaimId>,
    last: u64,
    changed: tokio::sync::watch::Sender<u64>,
    follower: Option<(Lease, Instant)>,
}

impl Store {
    pub(super) fn open(directory: &Path) -> Result<Self, FilesError> {
        let folder = Folder::take(directory)?;
        let Loaded { found: mut open, mut foreign } = folder.load::<Record>("open")?;
        let Loaded { found: done, foreign: foreign_done } = folder.load::<Done>("done")?;
        foreign.extend(foreign_done);
        // A crash between the two files of a finish leaves both: the later one counts.
        for id in done.keys() {
            if open.remove(id).is_some() {
                folder.remove("open", id)?;
            }
        }
        let indexes = open.values().map(|it| it.index.0).chain(done.values().map(|it| it.index.0));
        let last = indexes.max().unwrap_or_default();
        let changed = tokio::sync::watch::Sender::new(last);
        Ok(Self { folder, open, done, foreign, last, changed, follower: None })
    }

    /// For what is kept beside the records; whoever has the store has the directory for himself.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    pub(super) fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn claim(&mut self, id: &ClaimId, record: Record) -> Result<Claimed, FilesError> {
        self.native(id)?;
        if let Some(done) = self.done.get(id) {
            return Ok(Claimed::Done(Box::new(done.value.clone())));
        }
        if let Some(open) = self.open.get(id) {
            return Ok(Claimed::Open(Box::new(open.clone())));
        }
        self.write(id, record).map(Claimed::Won)
    }

    pub(super) fn record(&self, id: &ClaimId) -> Result<Option<Stored<Record>>, FilesError> {
        self.native(id)?;
        Ok(self.open.get(id).cloned())
    }

    pub(super) fn ended(&self, id: &ClaimId) -> Result<Option<Stored<Done>>, FilesError> {
        self.native(id)?;
        Ok(self.done.get(id).cloned())
    }

    pub(super) fn all_open(&self) -> (Index, Vec<(ClaimId, Stored<Record>)>) {
        let all = self.open.iter().map(|(id, stored)| (id.clone(), stored.clone())).collect();
        (Index(*self.changed.borrow()), all)
    }

    pub(super) fn open_index(&self) -> Index {
        Index(*self.changed.borrow())
    }

    /// Any change moves it, also one that left all ended ones as they were.
    pub(super) fn done_index(&self) -> Index {
        Index(self.last)
    }

    pub(super) fn done_claims(&self) -> Vec<ClaimId> {
        self.done.keys().cloned().collect()
    }

    pub(super) fn part_of_done(&self, digit: char) -> Vec<(ClaimId, Stored<Done>)> {
        let part = self.done.iter().filter(|(id, _)| id.as_str().starts_with(digit));
        part.map(|(id, stored)| (id.clone(), stored.clone())).collect()
    }

    pub(super) fn update(
        &mut self,
        id: &ClaimId,
        record: Record,
        index: Index,
        lease: Option<&Lease>,
    ) -> Result<Written, FilesError> {
        match self.guard(id, index, lease) {
            Some(refused) => Ok(refused),
            None => self.write(id, record).map(Written::Yes),
        }
    }

    pub(super) fn keep_report(
        &mut self,
        id: &ClaimId,
        record: Record,
        index: Index,
        report: &Report,
    ) -> Result<Written, FilesError> {
        if let Some(refused) = self.guard(id, index, None) {
            return Ok(refused);
        }
        self.folder.put_value("report", id, report)?;
        self.write(id, record).map(Written::Yes)
    }

    pub(super) fn report(&self, id: &ClaimId) -> Result<Option<Report>, FilesError> {
        self.folder.value("report", id)
    }

    pub(super) fn finish(
        &mut self,
        id: &ClaimId,
        index: Index,
        done: Done,
        lease: &Lease,
    ) -> Result<Written, FilesError> {
        if let Some(refused) = self.guard(id, index, Some(lease)) {
            return Ok(refused);
        }
        let stored = Stored { value: done, index: Index(self.last + 1) };
        let new = stored.index;
        self.folder.put_on_disk("done", id, &stored)?;
        self.done.insert(id.clone(), stored);
        self.drop_open(id)?;
        Ok(Written::Yes(new))
    }

    pub(super) fn forget(&mut self, id: &ClaimId, index: Index, lease: &Lease) -> Result<Written, FilesError> {
        if let Some(refused) = self.guard(id, index, Some(lease)) {
            return Ok(refused);
        }
        self.drop_open(id)?;
        Ok(Written::Yes(Index(self.last)))
    }

    pub(super) fn expire(&mut self, id: &ClaimId, lease: &Lease) -> Result<Written, FilesError> {
        if !self.is_follower(lease) {
            return Ok(Written::LeaseLost);
        }
        self.folder.remove("report", id)?;
        self.folder.remove("done", id)?;
        self.done.remove(id);
        self.last += 1;
        Ok(Written::Yes(Index(self.last)))
    }

    /// Another lease is given out only when the last one has not been renewed in time.
    pub(super) fn acquire(&mut self) -> Result<Option<Lease>, FilesError> {
        if self.follower.as_ref().is_some_and(|(_, renewed)| renewed.elapsed() < LEASE_TTL) {
            return Ok(None);
        }
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(FilesError::Random)?;
        let lease = Lease { session: hex::encode(nonce) };
        self.follower = Some((lease.clone(), Instant::now()));
        Ok(Some(lease))
    }

    pub(super) fn renew(&mut self, lease: &Lease) -> bool {
        match &mut self.follower {
            Some((held, renewed)) if held == lease => {
                *renewed = Instant::now();
                true
            }
            Some(_) | None => false,
        }
    }

    pub(super) fn release(&mut self, lease: &Lease) {
        if self.is_follower(lease) {
            self.follower = None;
        }
    }

    /// What another version wrote is neither read nor replaced.
    fn native(&self, id: &ClaimId) -> Result<(), FilesError> {
        if self.foreign.contains(id) { Err(FilesError::Foreign(id.to_string())) } else { Ok(()) }
    }

    fn is_follower(&self, lease: &Lease) -> bool {
        self.follower.as_ref().is_some_and(|(held, _)| held == lease)
    }

    /// What stands in the way of a write, if anything.
    fn guard(&self, id: &ClaimId, index: Index, lease: Option<&Lease>) -> Option<Written> {
        if lease.is_some_and(|lease| !self.is_follower(lease)) {
            return Some(Written::LeaseLost);
        }
        let current = self.open.get(id).map(|stored| stored.index);
        (current != Some(index)).then_some(Written::Conflict)
    }

    fn write(&mut self, id: &ClaimId, record: Record) -> Result<Index, FilesError> {
        let index = Index(self.last + 1);
        let stored = Stored { value: record, index };
        self.folder.put("open", id, &stored)?;
        self.open.insert(id.clone(), stored);
        self.advance();
        Ok(index)
    }

    fn drop_open(&mut self, id: &ClaimId) -> Result<(), FilesError> {
        self.folder.remove("open", id)?;
        self.open.remove(id);
        self.advance();
        Ok(())
    }

    /// After each change of open records; wakes whoever watches.
    fn advance(&mut self) {
        self.last += 1;
        self.changed.send_replace(self.last);
    }
}
