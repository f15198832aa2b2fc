//! Where repositories and claims are: Consul, or files for `dev`.
//!
//! Every write of an open record is by compare-and-set on its index; what only the follower writes also names its lease.

mod consul;
mod entries;
mod files;

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::domain::approval::Approved;
use crate::domain::config::RepoConfig;
use crate::domain::delivery::Tested;
use crate::domain::id::ClaimId;
use crate::domain::record::{Done, Record};
use crate::domain::repo_url::RepoUrl;
use crate::domain::report::Report;

pub use consul::ConsulRegistry;
pub use entries::{Entries, Kept};
pub use files::{FileRegistry, FilesError};

/// The version of a stored record; any change makes a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Index(pub u64);

/// A record together with the index that a write of it must name.
#[derive(Debug, Clone)]
pub struct Stored<T> {
    /// What is stored.
    pub value: T,
    /// Its index.
    pub index: Index,
}

/// Those changes whose claim begins with this hexadecimal digit: claims are as good as random.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part(char);

impl Part {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        "0123456789abcdef".chars().map(Self)
    }
}

/// What became of a try to claim a change.
#[derive(Debug)]
pub enum Claimed {
    /// It is ours.
    Won(Index),
    /// Somebody has it: this is the record.
    Open(Box<Stored<Record>>),
    /// It was built before.
    Done(Box<Done>),
}

/// What became of a guarded write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Done; the new index (of no meaning after a removal).
    Yes(Index),
    /// The record has changed or is gone: read it again.
    Conflict,
    /// The lease is no longer ours: write nothing more.
    LeaseLost,
}

/// The follower's lock, held. Every write of the follower names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Consul: the session's id. Files: the process's own nonce.
    pub session: String,
}

/// A repository's entry as it was found.
#[derive(Debug, Clone)]
pub enum Entry {
    /// Nothing under any spelling of this address.
    Unknown,
    /// An entry that cannot be used; the sentence names the field. The forge gets 503.
    Broken(String),
    /// The configuration.
    Found(Box<Found>),
}

/// A repository's configuration, and the spelling of its address whose key matched: this is REPO_URL.
#[derive(Debug, Clone)]
pub struct Found {
    /// The matching spelling.
    pub repo: String,
    /// The configuration.
    pub config: RepoConfig,
}

/// Why the registry did not answer.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It could not be asked; a later try may succeed.
    #[error("the registry cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It answered what makes no sense here, or refused for good.
    #[error("the registry refused: {0}")]
    Refused(String),
}

/// Consul or files.
#[derive(Debug)]
pub enum Registry {
    /// A cluster's.
    Consul(ConsulRegistry),
    /// One machine's.
    Files(FileRegistry),
}

/// One call to the backend that is in use.
macro_rules! each {
    ($self:ident, $name:ident ( $($arg:expr),* )) => {
        match $self {
            Registry::Consul(one) => one.$name($($arg),*).await,
            Registry::Files(one) => one.$name($($arg),*).await,
        }
    };
}

impl Registry {
    /// The entry of a repository from the local copy, by the address as sent and then by its canonical form.
    /// A miss is read again from the backend, at most once a second.
    ///
    /// # Errors
    /// [`RegistryError::Unavailable`] when there is no copy yet and the backend does not answer.
    pub async fn entry(&self, url: &RepoUrl) -> Result<Entry, RegistryError> {
        each!(self, entry(url))
    }

    /// The same by a consistent read, for use after a credential has matched.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn entry_now(&self, url: &RepoUrl) -> Result<Entry, RegistryError> {
        each!(self, entry_now(url))
    }

    /// For how long nothing was heard of the backend, whose configurations are copied; a quiet one is asked every
    /// minute.
    #[must_use]
    pub fn silence(&self) -> Duration {
        match self {
            Self::Consul(registry) => registry.silence(),
            Self::Files(_) => Duration::ZERO,
        }
    }

    /// All configured repositories of the local copy: for lists and for a bearer that names no repository.
    ///
    /// # Errors
    /// When there is no copy and the backend does not answer.
    pub async fn entries(&self) -> Result<Vec<Found>, RegistryError> {
        each!(self, entries())
    }

    /// Takes the claim unless it is taken: one transaction over `open/` and `done/`. An unknown answer is settled by
    /// reading again and comparing the record's nonce.
    ///
    /// # Errors
    /// When it cannot be known whether the claim was written.
    pub async fn claim(&self, id: &ClaimId, record: &Record) -> Result<Claimed, RegistryError> {
        each!(self, claim(id, record))
    }

    /// The open record, by a consistent read. A record of an unknown version is an error.
    ///
    /// # Errors
    /// When the backend does not answer, or the record is not ours to read.
    pub async fn open(&self, id: &ClaimId) -> Result<Option<Stored<Record>>, RegistryError> {
        match self {
            Registry::Consul(one) => one.open(id).await,
            Registry::Files(one) => one.record(id).await,
        }
    }

    /// The ended change.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn done(&self, id: &ClaimId) -> Result<Option<Done>, RegistryError> {
        Ok(self.ended(id).await?.map(|stored| stored.value))
    }

    /// The ended change with its index.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn ended(&self, id: &ClaimId) -> Result<Option<Stored<Done>>, RegistryError> {
        each!(self, ended(id))
    }

    /// Writes an open record if it is still at `index`, and if `lease` (where given) is still held: one transaction.
    ///
    /// # Errors
    /// When it cannot be known whether it was written.
    pub async fn update(
        &self,
        id: &ClaimId,
        record: &Record,
        index: Index,
        lease: Option<&Lease>,
    ) -> Result<Written, RegistryError> {
        each!(self, update(id, record, index, lease))
    }

    /// Keeps what a build reports, and writes its open record: one transaction, guarded like [`Registry::update`]. Goes
    /// with the ended change.
    ///
    /// # Errors
    /// When it cannot be known whether it was written.
    pub async fn keep_report(
        &self,
        id: &ClaimId,
        record: &Record,
        index: Index,
        report: &Report,
    ) -> Result<Written, RegistryError> {
        each!(self, keep_report(id, record, index, report))
    }

    /// What a build has reported, open or ended.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn report(&self, id: &ClaimId) -> Result<Option<Report>, RegistryError> {
        each!(self, report(id))
    }

    /// Moves an open record to `done/`: one transaction, guarded like [`Registry::update`].
    ///
    /// # Errors
    /// When it cannot be known whether it was written.
    pub async fn finish(
        &self,
        id: &ClaimId,
        index: Index,
        done: &Done,
        lease: &Lease,
    ) -> Result<Written, RegistryError> {
        each!(self, finish(id, index, done, lease))
    }

    /// Removes an open record that never had a child, so that a redelivery builds.
    ///
    /// # Errors
    /// When it cannot be known whether it was removed.
    pub async fn forget(&self, id: &ClaimId, index: Index, lease: &Lease) -> Result<Written, RegistryError> {
        each!(self, forget(id, index, lease))
    }

    /// Removes an ended change whose time is over.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn expire(&self, id: &ClaimId, lease: &Lease) -> Result<Written, RegistryError> {
        each!(self, expire(id, lease))
    }

    /// All open records; waits up to `wait` for a change when `since` is the index of the last answer.
    /// Records that cannot be read are left out (and logged once by the caller's id).
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn watch_open(
        &self,
        since: Option<Index>,
        wait: Duration,
    ) -> Result<(Index, Vec<(ClaimId, Stored<Record>)>), RegistryError> {
        each!(self, watch_open(since, wait))
    }

    /// The index of the newest change among the open records; another one than that of a list says that it is old.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn open_index(&self) -> Result<Index, RegistryError> {
        each!(self, open_index())
    }

    /// The index of the newest change among the ended ones, those that are gone included.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn done_index(&self) -> Result<Index, RegistryError> {
        each!(self, done_index())
    }

    /// Which changes have ended, and the index of this state.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn done_claims(&self) -> Result<(Index, Vec<ClaimId>), RegistryError> {
        each!(self, done_claims())
    }

    /// A part of all ended changes; a week of 10,000 a day is too much for one answer. What the parts are is of no
    /// meaning but that all of [`Part::all`] together are all. Those that cannot be read are left out.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn part_of_done(&self, part: Part) -> Result<Vec<(ClaimId, Stored<Done>)>, RegistryError> {
        each!(self, part_of_done(part))
    }

    /// All ended changes. Large: the board keeps a small copy of them.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn all_done(&self) -> Result<Vec<(ClaimId, Done)>, RegistryError> {
        let mut all = Vec::new();
        for part in Part::all() {
            all.extend(self.part_of_done(part).await?.into_iter().map(|(claim, stored)| (claim, stored.value)));
        }
        Ok(all)
    }

    /// Who is approved always for a repository, by a consistent read; none where nobody ever was.
    ///
    /// # Errors
    /// When the backend does not answer, or the list is not ours to read.
    pub async fn approved(&self, canonical: &str) -> Result<Option<Stored<Approved>>, RegistryError> {
        each!(self, approved(canonical))
    }

    /// Writes the list of a repository if it is still at `index`; none: if there is none yet.
    ///
    /// # Errors
    /// When it cannot be known whether it was written.
    pub async fn set_approved(&self, approved: &Approved, index: Option<Index>) -> Result<Written, RegistryError> {
        each!(self, set_approved(approved, index))
    }

    /// The lists of all repositories. Those that cannot be read are left out.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn all_approved(&self) -> Result<Vec<Approved>, RegistryError> {
        each!(self, all_approved())
    }

    /// Tries to become the follower. None: another one is.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn acquire(&self) -> Result<Option<Lease>, RegistryError> {
        each!(self, acquire())
    }

    /// Keeps the lease alive, and says whether it still is ours. Call at least every third of [`LEASE_TTL`].
    ///
    /// # Errors
    /// When the backend does not answer; the lease may or may not be lost.
    pub async fn renew(&self, lease: &Lease) -> Result<bool, RegistryError> {
        each!(self, renew(lease))
    }

    /// Gives the lease up.
    ///
    /// # Errors
    /// When the backend does not answer; it then ends by itself.
    pub async fn release(&self, lease: &Lease) -> Result<(), RegistryError> {
        each!(self, release(lease))
    }

    /// Keeps the newest test delivery of a repository; of an earlier one nothing is left.
    ///
    /// # Errors
    /// When it cannot be known whether it was written.
    pub async fn keep_tested(&self, tested: &Tested) -> Result<(), RegistryError> {
        each!(self, keep_tested(tested))
    }

    /// The rights that are missing, a sentence each; empty when all is well.
    ///
    /// # Errors
    /// When the backend does not answer.
    pub async fn check(&self) -> Result<Vec<String>, RegistryError> {
        each!(self, check())
    }
}

/// What stands for a repository in a key that Albatros writes: SHA-256 (hex) of its canonical address.
fn name_of(canonical: &str) -> String {
    hex::encode(Sha256::digest(canonical))
}

/// How long a lease lives without being renewed (Consul's shortest).
pub const LEASE_TTL: Duration = Duration::from_secs(10);
