//! A build's jobs: builds of their own that its controller starts, watches and stops.
//!
//! ```text
//! PUT ─▶ name and claim into the parent's record ─▶ the job's own record ─▶ dispatch
//!           (so: at most 50, none after its end,      (claimed once, like      (as every change)
//!            and known by name whatever happens)       any change)
//! ```
//!
//! From there on a job is a build like any other, but that the follower tells no forge of it, and stops it once its parent
//! no longer runs: whatever was written between the two records, a job without a running parent does not stay.

pub(crate) mod address;
pub(crate) mod list;
pub(crate) mod log;
mod shown;
pub(crate) mod start;
pub(crate) mod stop;

pub(crate) use address::address;
pub(crate) use list::{list, told};
pub(crate) use log::log;
pub(crate) use start::start;
pub(crate) use stop::stop;

use super::refusal::Refusal;
use crate::dispatcher::App;
use crate::domain::config::RepoConfig;
use crate::domain::id::{ClaimId, JobName};
use crate::domain::record::{Done, Record};
use crate::registry::{Entry, RegistryError, Stored};

/// Jobs of one build.
const MOST: usize = 50;
/// Bytes of all of them as JSON: they stand in what is listed at each change, as long as they are open.
const BYTES_MOST: usize = 512 * 1024;

/// What there is of a job in the registry.
#[derive(Debug)]
enum Tracked {
    Open(Box<Stored<Record>>),
    Done(Box<Done>),
    /// Its parent names it, and its own record is not written yet.
    Not,
}

async fn tracked(app: &App, claim: &ClaimId) -> Result<Tracked, RegistryError> {
    if let Some(stored) = app.registry.open(claim).await? {
        return Ok(Tracked::Open(Box::new(stored)));
    }
    Ok(app.registry.done(claim).await?.map_or(Tracked::Not, |done| Tracked::Done(Box::new(done))))
}

/// The claim of a build's job.
fn named<'a>(parent: &'a Record, name: &str) -> Result<(JobName, &'a ClaimId), Refusal> {
    let found = name.parse().ok().and_then(|name: JobName| parent.jobs.get(&name).map(|claim| (name, claim)));
    found.ok_or_else(|| Refusal::not_found("the build has started no job of this name"))
}

/// The repository's configuration by the local copy; none where it is gone or broken.
async fn configuration(app: &App, record: &Record) -> Result<Option<RepoConfig>, Refusal> {
    let Ok(url) = record.repo.parse() else { return Ok(None) };
    Ok(match app.registry.entry(&url).await? {
        Entry::Found(found) => Some(found.config),
        Entry::Unknown | Entry::Broken(_) => None,
    })
}
