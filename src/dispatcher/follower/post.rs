//! One try to bring one status to the forge.

use url::Url;

use super::course::Shared;
use crate::api::forge::{Forge, ForgeError, NewStatus};
use crate::domain::config::RepoConfig;
use crate::domain::id::ClaimId;
use crate::domain::key;
use crate::domain::outcome::Outcome;
use crate::domain::record::{Phase, Record};
use crate::domain::status::{Standing, Status, context, is_anothers, standing, target_url};
use crate::registry::{Entry, RegistryError};

/// What a failed try is logged with.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What is to be posted, and for which record.
#[derive(Debug, Clone)]
pub(super) struct Post {
    pub(super) shared: Shared,
    pub(super) claim: ClaimId,
    pub(super) record: Record,
    pub(super) status: Status,
    /// It may be there already, or may have been overtaken: read before posting.
    pub(super) look_first: bool,
}

impl Post {
    fn is_of_skipped(&self) -> bool {
        matches!(self.record.phase, Phase::Ended { outcome: Outcome::Skipped { .. } })
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Sent {
    /// The forge has it.
    Confirmed,
    /// The forge will never take it; the sentence has nothing secret.
    Refused(String),
    /// It failed for now. It may have arrived all the same: an answer can be lost, or be a proxy's.
    Passing(Cause),
    /// There is nowhere to post: no forge is configured, or the repository no longer is.
    NoForge,
    /// The lock's last proof is too old; nothing was sent.
    LockOld,
}

/// Posts, by the configuration of this moment, if the lock is still ours.
pub(super) async fn send(post: Post) -> Sent {
    let config = match configuration(&post.shared, &post.record).await {
        Ok(Some(config)) => config,
        Ok(None) => return Sent::NoForge,
        Err(cause) => return Sent::Passing(cause),
    };
    let Some(forge) = &config.forge else { return Sent::NoForge };
    let forge = match Forge::new(post.shared.app.forge_client.clone(), forge, &post.record.repo) {
        Ok(forge) => forge,
        Err(error) => return Sent::Refused(error.to_string()),
    };
    if post.look_first {
        match arrived(&post, &forge).await {
            Ok(true) => return Sent::Confirmed,
            Ok(false) => {}
            Err(error) => return Sent::Passing(Box::new(error)),
        }
    }
    if post.is_of_skipped() {
        match anothers(&post, &forge).await {
            Ok(false) => {}
            Ok(true) => return Sent::Confirmed,
            Err(error) => return Sent::Passing(Box::new(error)),
        }
    }
    let status = NewStatus {
        state: post.status.state,
        description: post.status.description.clone(),
        context: context(&post.record),
        target_url: link(&post, &config),
    };
    if !post.shared.lock.is_proven(&post.shared.app.registry).await {
        return Sent::LockOld;
    }
    match forge.post_status(&post.record.commit, &status).await {
        Ok(()) => Sent::Confirmed,
        Err(ForgeError::Refused(why)) => Sent::Refused(why),
        Err(error @ (ForgeError::Unanswered(_) | ForgeError::Unavailable(_))) => Sent::Passing(Box::new(error)),
    }
}

/// Whether there is anywhere to post; where that cannot be told now there may be.
pub(super) async fn has_forge(shared: &Shared, record: &Record) -> bool {
    match configuration(shared, record).await {
        Ok(config) => config.is_some_and(|config| config.forge.is_some()),
        Err(_not_now) => true,
    }
}

async fn configuration(shared: &Shared, record: &Record) -> Result<Option<Box<RepoConfig>>, Cause> {
    let url = record.repo.parse()?;
    let mut entry = shared.app.registry.entry(&url).await.map_err(|error: RegistryError| Box::new(error))?;
    if matches!(entry, Entry::Unknown) {
        // Consul leaves out of a list what a token may not read for the moment; by its key it says so. A final status
        // is given up on this word, so it is asked.
        entry = shared.app.registry.entry_now(&url).await.map_err(|error: RegistryError| Box::new(error))?;
    }
    match entry {
        Entry::Found(found) => Ok(Some(Box::new(found.config))),
        Entry::Unknown => Ok(None),
        Entry::Broken(reason) => Err(format!("the repository's configuration cannot be used: {reason}").into()),
    }
}

/// Whether the status is the newest of this build at the forge. Where the forge does not let us look, it is not known
/// to be, and posting it once more does less harm than not at all.
async fn arrived(post: &Post, forge: &Forge) -> Result<bool, ForgeError> {
    match forge.statuses(&post.record.commit).await {
        Ok(listed) => {
            let pages = pages(post);
            Ok(standing(&listed, &context(&post.record), &post.status, &pages) == Standing::Arrived)
        }
        Err(ForgeError::Refused(_)) => Ok(false),
        Err(error @ (ForgeError::Unanswered(_) | ForgeError::Unavailable(_))) => Err(error),
    }
}

/// Whether the commit already has the word of a build, which one that never was must not cover.
async fn anothers(post: &Post, forge: &Forge) -> Result<bool, ForgeError> {
    match forge.statuses(&post.record.commit).await {
        Ok(listed) => Ok(is_anothers(&listed, &context(&post.record), &post.record.statuses, &pages(post))),
        Err(ForgeError::Refused(_)) => Ok(false),
        Err(error @ (ForgeError::Unanswered(_) | ForgeError::Unavailable(_))) => Err(error),
    }
}

/// The addresses that a status of this build may link to.
fn pages(post: &Post) -> Vec<Url> {
    let Some(base) = &post.shared.app.settings.url else { return Vec::new() };
    let of_claim = target_url(base, &post.claim, None, None);
    let of_build = target_url(base, &post.claim, post.record.build.as_ref(), None);
    of_claim.into_iter().chain(of_build).collect()
}

fn link(post: &Post, config: &RepoConfig) -> Option<Url> {
    let build = post.record.build.as_ref();
    let key = post.record.private.then(|| match build {
        Some(build) => key::build_key(config, build),
        None => key::claim_key(config, &post.claim),
    });
    target_url(post.shared.app.settings.url.as_ref()?, &post.claim, build, key.as_deref())
}
