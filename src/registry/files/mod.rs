//! The registry of one machine: files under a data directory, a `flock` for the lock.
//!
//! `open/<claim>.json` and `done/<claim>.json` hold what Consul would, each with its index, and `report/<claim>.json`
//! what scripts have reported. `approved/` has who is approved always, a file a repository.
//! All but reports and approvals are read once, at the start; the `flock` on `lock` makes sure that nobody else writes them afterwards.

mod approved;
mod folder;
mod store;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{Claimed, Entry, Found, Index, Lease, Part, RegistryError, Stored, Written};
use crate::domain::approval::Approved;
use crate::domain::config::RepoConfig;
use crate::domain::delivery::Tested;
use crate::domain::id::ClaimId;
use crate::domain::record::{Done, Record};
use crate::domain::repo_url::RepoUrl;
use crate::domain::report::Report;

pub use folder::FilesError;

use store::Store;

/// The registry of one machine: files under a data directory, a `flock` for the lock.
#[derive(Debug)]
pub struct FileRegistry {
    store: Arc<Mutex<Store>>,
    changes: tokio::sync::watch::Receiver<u64>,
    configs: Vec<(RepoUrl, RepoConfig)>,
}

impl FileRegistry {
    /// Takes the directory for this process alone, and reads what an earlier one has left there.
    ///
    /// # Errors
    /// [`FilesError::Taken`] when another process has it; otherwise when it cannot be read or written.
    pub fn open(directory: &Path, configs: Vec<(RepoUrl, RepoConfig)>) -> Result<Self, FilesError> {
        let store = Store::open(directory)?;
        let changes = store.changes();
        Ok(Self { store: Arc::new(Mutex::new(store)), changes, configs })
    }

    /// Runs what touches the disk where it holds up nobody else.
    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Store) -> Result<T, FilesError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let store = Arc::clone(&self.store);
        let worked =
            tokio::task::spawn_blocking(move || work(&mut store.lock().unwrap_or_else(PoisonError::into_inner)));
        match worked.await {
            Ok(answer) => Ok(answer?),
            Err(error) => Err(RegistryError::Unavailable(Box::new(error))),
        }
    }

    fn read<T>(&self, look: impl FnOnce(&Store) -> T) -> T {
        look(&self.store.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) async fn entry(&self, url: &RepoUrl) -> Result<Entry, RegistryError> {
        let found = self.configs.iter().find(|(known, _)| known.canonical() == url.canonical());
        Ok(match found {
            Some((known, config)) => {
                let repo = if known.sent() == url.sent() { known.sent() } else { known.canonical() };
                Entry::Found(Box::new(Found { repo: repo.to_owned(), config: config.clone() }))
            }
            None => Entry::Unknown,
        })
    }

    pub(super) async fn entry_now(&self, url: &RepoUrl) -> Result<Entry, RegistryError> {
        self.entry(url).await
    }

    pub(super) async fn entries(&self) -> Result<Vec<Found>, RegistryError> {
        let found =
            |(url, config): &(RepoUrl, RepoConfig)| Found { repo: url.sent().to_owned(), config: config.clone() };
        Ok(self.configs.iter().map(found).collect())
    }

    pub(super) async fn claim(&self, id: &ClaimId, record: &Record) -> Result<Claimed, RegistryError> {
        let (id, record) = (id.clone(), record.clone());
        self.on(move |store| store.claim(&id, record)).await
    }

    pub(super) async fn record(&self, id: &ClaimId) -> Result<Option<Stored<Record>>, RegistryError> {
        Ok(self.read(|store| store.record(id))?)
    }

    pub(super) async fn ended(&self, id: &ClaimId) -> Result<Option<Stored<Done>>, RegistryError> {
        Ok(self.read(|store| store.ended(id))?)
    }

    pub(super) async fn update(
        &self,
        id: &ClaimId,
        record: &Record,
        index: Index,
        lease: Option<&Lease>,
    ) -> Result<Written, RegistryError> {
        let (id, record, lease) = (id.clone(), record.clone(), lease.cloned());
        self.on(move |store| store.update(&id, record, index, lease.as_ref())).await
    }

    pub(super) async fn keep_report(
        &self,
        id: &ClaimId,
        record: &Record,
        index: Index,
        report: &Report,
    ) -> Result<Written, RegistryError> {
        let (id, record, report) = (id.clone(), record.clone(), report.clone());
        self.on(move |store| store.keep_report(&id, record, index, &report)).await
    }

    pub(super) async fn report(&self, id: &ClaimId) -> Result<Option<Report>, RegistryError> {
        let id = id.clone();
        self.on(move |store| store.report(&id)).await
    }

    pub(super) async fn finish(
        &self,
        id: &ClaimId,
        index: Index,
        done: &Done,
        lease: &Lease,
    ) -> Result<Written, RegistryError> {
        let (id, done, lease) = (id.clone(), done.clone(), lease.clone());
        self.on(move |store| store.finish(&id, index, done, &lease)).await
    }

    pub(super) async fn forget(&self, id: &ClaimId, index: Index, lease: &Lease) -> Result<Written, RegistryError> {
        let (id, lease) = (id.clone(), lease.clone());
        self.on(move |store| store.forget(&id, index, &lease)).await
    }

    pub(super) async fn expire(&self, id: &ClaimId, lease: &Lease) -> Result<Written, RegistryError> {
        let (id, lease) = (id.clone(), lease.clone());
        self.on(move |store| store.expire(&id, &lease)).await
    }

    pub(super) async fn watch_open(
        &self,
        since: Option<Index>,
        wait: Duration,
    ) -> Result<(Index, Vec<(ClaimId, Stored<Record>)>), RegistryError> {
        if let Some(Index(last)) = since {
            let mut changes = self.changes.clone();
            // Neither the end of the wait nor the end of the store is an error: the answer is the state as it is.
            let _ = tokio::time::timeout(wait, changes.wait_for(|now| *now != last)).await;
        }
        Ok(self.read(Store::all_open))
    }

    pub(super) async fn open_index(&self) -> Result<Index, RegistryError> {
        Ok(self.read(Store::open_index))
    }

    pub(super) async fn done_index(&self) -> Result<Index, RegistryError> {
        Ok(self.read(Store::done_index))
    }

    pub(super) async fn done_claims(&self) -> Result<(Index, Vec<ClaimId>), RegistryError> {
        Ok(self.read(|store| (store.done_index(), store.done_claims())))
    }

    pub(super) async fn part_of_done(&self, Part(digit): Part) -> Result<Vec<(ClaimId, Stored<Done>)>, RegistryError> {
        Ok(self.read(|store| store.part_of_done(digit)))
    }

    pub(super) async fn approved(&self, canonical: &str) -> Result<Option<Stored<Approved>>, RegistryError> {
        let canonical = canonical.to_owned();
        self.on(move |store| approved::one(store.folder(), &canonical)).await
    }

    pub(super) async fn set_approved(
        &self,
        approved: &Approved,
        index: Option<Index>,
    ) -> Result<Written, RegistryError> {
        let approved = approved.clone();
        self.on(move |store| approved::set(store.folder(), approved, index)).await
    }

    pub(super) async fn all_approved(&self) -> Result<Vec<Approved>, RegistryError> {
        self.on(|store| approved::all(store.folder())).await
    }

    pub(super) async fn acquire(&self) -> Result<Option<Lease>, RegistryError> {
        self.on(Store::acquire).await
    }

    pub(super) async fn renew(&self, lease: &Lease) -> Result<bool, RegistryError> {
        let lease = lease.clone();
        self.on(move |store| Ok(store.renew(&lease))).await
    }

    pub(super) async fn release(&self, lease: &Lease) -> Result<(), RegistryError> {
        let lease = lease.clone();
        self.on(move |store| {
            store.release(&lease);
            Ok(())
        })
        .await
    }

    /// Nobody sets up webhooks to one machine's own server with a verb that would look for it.
    pub(super) async fn keep_tested(&self, tested: &Tested) -> Result<(), RegistryError> {
        tracing::info!(repo = tested.canonical, event = tested.origin.event, "a test delivery has arrived");
        Ok(())
    }

    pub(super) async fn check(&self) -> Result<Vec<String>, RegistryError> {
        Ok(Vec::new())
    }
}

impl From<FilesError> for RegistryError {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Foreign(_) => Self::Refused(error.to_string()),
            FilesError::Taken(_) | FilesError::File { .. } | FilesError::Json(_) | FilesError::Random(_) => {
                Self::Unavailable(Box::new(error))
            }
        }
    }
}
