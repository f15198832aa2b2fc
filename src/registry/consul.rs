//! The registry of a cluster: Consul's key-value store.

use std::time::Duration;

use super::{Claimed, Entry, Found, Index, Lease, RegistryError, Stored, Written};
use crate::domain::id::ClaimId;
use crate::domain::record::{Done, Record};
use crate::domain::repo_url::RepoUrl;

/// The registry of a cluster: Consul's key-value store.
#[derive(Debug)]
pub struct ConsulRegistry {}

impl ConsulRegistry {
    pub(super) async fn entry(&self, url: &RepoUrl) -> Result<Entry, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn entry_now(&self, url: &RepoUrl) -> Result<Entry, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn entries(&self) -> Result<Vec<Found>, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn claim(&self, id: &ClaimId, record: &Record) -> Result<Claimed, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn open(&self, id: &ClaimId) -> Result<Option<Stored<Record>>, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn done(&self, id: &ClaimId) -> Result<Option<Done>, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn update(
        &self,
        id: &ClaimId,
        record: &Record,
        index: Index,
        lease: Option<&Lease>,
    ) -> Result<Written, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn finish(
        &self,
        id: &ClaimId,
        index: Index,
        done: &Done,
        lease: &Lease,
    ) -> Result<Written, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn forget(&self, id: &ClaimId, index: Index, lease: &Lease) -> Result<Written, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn expire(&self, id: &ClaimId, lease: &Lease) -> Result<Written, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn watch_open(
        &self,
        since: Option<Index>,
        wait: Duration,
    ) -> Result<(Index, Vec<(ClaimId, Stored<Record>)>), RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn all_done(&self) -> Result<Vec<(ClaimId, Done)>, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn acquire(&self) -> Result<Option<Lease>, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn renew(&self, lease: &Lease) -> Result<bool, RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn release(&self, lease: &Lease) -> Result<(), RegistryError> {
        std::future::pending().await
    }

    pub(super) async fn check(&self) -> Result<Vec<String>, RegistryError> {
        std::future::pending().await
    }
}
