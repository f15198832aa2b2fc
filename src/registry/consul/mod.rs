//! The registry of a cluster: Consul's key-value store.
//!
//! | key | what |
//! |---|---|
//! | `<prefix>/<base64 of the address>` | a repository's configuration; only read |
//! | `<prefix>-builds/open/<claim>` | changes in flight |
//! | `<prefix>-builds/done/<claim>` | ended ones |
//! | `<prefix>-builds/report/<claim>` | what their scripts have reported |
//! | `<prefix>-builds/approved/<SHA-256 of the canonical address>` | whose pull requests are built without asking |
//! | `<prefix>-builds/tests/<SHA-256 of the canonical address>` | the newest test delivery of its webhook |
//! | `<prefix>-builds/lock` | the follower's lock |

mod approved;
mod claims;
mod copy;
mod lock;
mod rights;
mod write;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::{Claimed, Entry, Found, Index, Lease, Part, RegistryError, Stored, Written, name_of};
use crate::api::consul::{Consistency, Consul, ConsulError, Pair};
use crate::domain::approval::Approved;
use crate::domain::delivery::Tested;
use crate::domain::id::ClaimId;
use crate::domain::record::{Done, Record, VERSION};
use crate::domain::repo_url::RepoUrl;
use crate::domain::report::Report;

pub(super) use approved::approved_key;

use copy::{Copied, read_entry};
use write::Intent;

/// How many unreadable records are remembered so that each is logged once.
const REMEMBERED: usize = 1_000;
/// The least time between two answers of a long poll that brought nothing new: some proxies do not wait.
const PACE: Duration = Duration::from_secs(1);

/// The registry of a cluster: Consul's key-value store, and a local copy of the configurations in it.
#[derive(Debug)]
pub struct ConsulRegistry {
    consul: Consul,
    prefix: String,
    copy: Arc<Copied>,
    watcher: tokio::task::AbortHandle,
    logged: Mutex<HashSet<(String, u64)>>,
    denied_session: Mutex<Option<String>>,
}

impl Drop for ConsulRegistry {
    fn drop(&mut self) {
        self.watcher.abort();
    }
}

impl ConsulRegistry {
    /// Starts to watch the configurations under `<prefix>/`; to be called within a runtime.
    #[must_use]
    pub fn new(consul: Consul, prefix: &str) -> Self {
        let copy = Arc::new(Copied::new(format!("{prefix}/")));
        let watcher = tokio::spawn(copy::watch(consul.clone(), Arc::clone(&copy))).abort_handle();
        Self {
            consul,
            prefix: prefix.to_owned(),
            copy,
            watcher,
            logged: Mutex::default(),
            denied_session: Mutex::default(),
        }
    }

    pub(super) fn silence(&self) -> Duration {
        self.copy.silence()
    }

    fn open_folder(&self) -> String {
        format!("{}-builds/open/", self.prefix)
    }

    fn done_folder(&self) -> String {
        format!("{}-builds/done/", self.prefix)
    }

    fn open_key(&self, id: &ClaimId) -> String {
        format!("{}-builds/open/{id}", self.prefix)
    }

    fn done_key(&self, id: &ClaimId) -> String {
        format!("{}-builds/done/{id}", self.prefix)
    }

    fn report_key(&self, id: &ClaimId) -> String {
        format!("{}-builds/report/{id}", self.prefix)
    }

    fn lock_key(&self) -> String {
        format!("{}-builds/lock", self.prefix)
    }

    pub(super) async fn entry(&self, url: &RepoUrl) -> Result<Entry, RegistryError> {
        self.copy.entry(&self.consul, url).await
    }

    pub(super) async fn entry_now(&self, url: &RepoUrl) -> Result<Entry, RegistryError> {
        read_entry(&self.consul, self.copy.folder(), url).await
    }

    pub(super) async fn entries(&self) -> Result<Vec<Found>, RegistryError> {
        self.copy.entries().await
    }

    pub(super) async fn claim(&self, id: &ClaimId, record: &Record) -> Result<Claimed, RegistryError> {
        claims::claim(self, id, record).await
    }

    pub(super) async fn open(&self, id: &ClaimId) -> Result<Option<Stored<Record>>, RegistryError> {
        let pair = self.consul.get(&self.open_key(id), Consistency::Consistent).await?;
        pair.map(|pair| read_stored(&pair)).transpose()
    }

    pub(super) async fn ended(&self, id: &ClaimId) -> Result<Option<Stored<Done>>, RegistryError> {
        let pair = self.consul.get(&self.done_key(id), Consistency::Consistent).await?;
        pair.map(|pair| read_stored(&pair)).transpose()
    }

    pub(super) async fn update(
        &self,
        id: &ClaimId,
        record: &Record,
        index: Index,
        lease: Option<&Lease>,
    ) -> Result<Written, RegistryError> {
        let value = encode(record)?;
        write::write(self, lease, Intent::Replace { key: self.open_key(id), index, value }).await
    }

    pub(super) async fn keep_report(
        &self,
        id: &ClaimId,
        record: &Record,
        index: Index,
        report: &Report,
    ) -> Result<Written, RegistryError> {
        let (value, report) = (encode(record)?, encode(report)?);
        let intent = Intent::Report { open: self.open_key(id), index, value, key: self.report_key(id), report };
        write::write(self, None, intent).await
    }

    pub(super) async fn report(&self, id: &ClaimId) -> Result<Option<Report>, RegistryError> {
        let pair = self.consul.get(&self.report_key(id), Consistency::Default).await?;
        let read = |pair: Pair| serde_json::from_slice(&pair.value);
        pair.map(read).transpose().map_err(|error| RegistryError::Refused(format!("a report cannot be read: {error}")))
    }

    pub(super) async fn finish(
        &self,
        id: &ClaimId,
        index: Index,
        done: &Done,
        lease: &Lease,
    ) -> Result<Written, RegistryError> {
        let intent = Intent::Finish { open: self.open_key(id), index, done: self.done_key(id), value: encode(done)? };
        write::write(self, Some(lease), intent).await
    }

    pub(super) async fn forget(&self, id: &ClaimId, index: Index, lease: &Lease) -> Result<Written, RegistryError> {
        write::write(self, Some(lease), Intent::Forget { key: self.open_key(id), index }).await
    }

    pub(super) async fn expire(&self, id: &ClaimId, lease: &Lease) -> Result<Written, RegistryError> {
        write::write(self, Some(lease), Intent::Expire { key: self.done_key(id), report: self.report_key(id) }).await
    }

    pub(super) async fn watch_open(
        &self,
        since: Option<Index>,
        wait: Duration,
    ) -> Result<(Index, Vec<(ClaimId, Stored<Record>)>), RegistryError> {
        let folder = self.open_folder();
        let asked = Instant::now();
        let poll = since.map(|Index(index)| (index, wait));
        // Who begins with a list, as a new follower does, relies on all that was written before.
        let how = if poll.is_none() { Consistency::Consistent } else { Consistency::Default };
        let (index, pairs) = self.consul.list(&folder, poll, how).await?;
        if since.is_some_and(|Index(last)| last == index) && asked.elapsed() < wait.min(PACE) {
            tokio::time::sleep(wait.min(PACE)).await;
        }
        let records = pairs.into_iter().filter_map(|pair| {
            let id = pair.key.strip_prefix(&folder)?.parse().ok()?;
            self.readable(&pair, read_stored(&pair)).map(|record| (id, record))
        });
        Ok((Index(index), records.collect()))
    }

    pub(super) async fn open_index(&self) -> Result<Index, RegistryError> {
        Ok(Index(self.consul.folder_index(self.open_folder().trim_end_matches('/')).await?))
    }

    pub(super) async fn done_index(&self) -> Result<Index, RegistryError> {
        Ok(Index(self.consul.folder_index(self.done_folder().trim_end_matches('/')).await?))
    }

    pub(super) async fn done_claims(&self) -> Result<(Index, Vec<ClaimId>), RegistryError> {
        let folder = self.done_folder();
        let (index, keys) = self.consul.keys(&folder).await?;
        Ok((Index(index), keys.iter().filter_map(|key| key.strip_prefix(&folder)?.parse().ok()).collect()))
    }

    pub(super) async fn part_of_done(&self, Part(digit): Part) -> Result<Vec<(ClaimId, Stored<Done>)>, RegistryError> {
        let folder = self.done_folder();
        let (_, pairs) = self.consul.list(&format!("{folder}{digit}"), None, Consistency::Default).await?;
        let found = pairs.into_iter().filter_map(|pair| {
            let id = pair.key.strip_prefix(&folder)?.parse().ok()?;
            self.readable(&pair, read_stored(&pair)).map(|done| (id, done))
        });
        Ok(found.collect())
    }

    pub(super) async fn approved(&self, canonical: &str) -> Result<Option<Stored<Approved>>, RegistryError> {
        approved::one(self, canonical).await
    }

    pub(super) async fn set_approved(
        &self,
        approved: &Approved,
        index: Option<Index>,
    ) -> Result<Written, RegistryError> {
        approved::set(self, approved, index).await
    }

    pub(super) async fn all_approved(&self) -> Result<Vec<Approved>, RegistryError> {
        approved::all(self).await
    }

    pub(super) async fn acquire(&self) -> Result<Option<Lease>, RegistryError> {
        lock::acquire(self).await
    }

    pub(super) async fn renew(&self, lease: &Lease) -> Result<bool, RegistryError> {
        lock::renew(self, lease).await
    }

    pub(super) async fn release(&self, lease: &Lease) -> Result<(), RegistryError> {
        Ok(self.consul.destroy_session(&lease.session).await?)
    }

    pub(super) async fn keep_tested(&self, tested: &Tested) -> Result<(), RegistryError> {
        let (key, value) = (tested_key(&self.prefix, &tested.canonical), encode(tested)?);
        self.consul.put(&key, value.into(), None, 0).await?;
        Ok(())
    }

    pub(super) async fn check(&self) -> Result<Vec<String>, RegistryError> {
        rights::missing(self).await
    }

    /// Leaves out what cannot be read, and logs each version of it once.
    fn readable<T>(&self, pair: &Pair, read: Result<T, RegistryError>) -> Option<T> {
        read.inspect_err(|error| {
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.len() >= REMEMBERED {
                logged.clear();
            }
            if logged.insert((pair.key.clone(), pair.modify_index)) {
                tracing::warn!(key = pair.key, %error, "record left alone");
            }
        })
        .ok()
    }
}

/// Where the newest test delivery of a repository is kept: the address itself may be longer than a key.
pub(super) fn tested_key(prefix: &str, canonical: &str) -> String {
    format!("{prefix}-builds/tests/{}", name_of(canonical))
}

fn read_stored<T: DeserializeOwned>(pair: &Pair) -> Result<Stored<T>, RegistryError> {
    Ok(Stored { value: read_versioned(pair)?, index: Index(pair.modify_index) })
}

/// A record of the version that this program knows.
fn read_versioned<T: DeserializeOwned>(pair: &Pair) -> Result<T, RegistryError> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let refused = |why: String| RegistryError::Refused(format!("the record {} {why}", pair.key));
    match serde_json::from_slice::<Version>(&pair.value) {
        Ok(Version { version: VERSION }) => {}
        Ok(Version { version }) => {
            return Err(refused(format!("has version {version}, and this program knows {VERSION}")));
        }
        Err(error) => return Err(refused(format!("cannot be read: {error}"))),
    }
    serde_json::from_slice(&pair.value).map_err(|error| refused(format!("cannot be read: {error}")))
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, RegistryError> {
    serde_json::to_vec(value).map_err(|error| RegistryError::Refused(format!("a record cannot be written: {error}")))
}

impl From<ConsulError> for RegistryError {
    fn from(error: ConsulError) -> Self {
        match error {
            ConsulError::Http(_) => Self::Unavailable(Box::new(error)),
            ConsulError::Denied(_) | ConsulError::Refused(_) | ConsulError::TooLarge(_) => {
                Self::Refused(error.to_string())
            }
        }
    }
}
