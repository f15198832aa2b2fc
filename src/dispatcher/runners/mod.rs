//! Runners for the forges' own workflows: what a delivery of a job comes to, and a runner's registration.
//!
//! What no delivery tells is the follower's to find out: `follower::runners`.

mod deliver;
mod register;
mod verified;

pub(crate) use deliver::{Claimed, claim, deliver};
pub(crate) use register::{RegisterError, register};
pub(super) use verified::configuration;

use super::App;
use crate::api::forge::{ForgeError, Runners};
use crate::domain::config::RepoConfig;
use crate::domain::id::ClaimId;
use crate::domain::record::{Phase, Record};
use crate::domain::runners::{Pool, Runner, pool_for};
use crate::registry::{RegistryError, Written};

/// Tries of one write against other writers of the same record.
const TRIES: usize = 10;

/// The runners of an entry at its forge; none where the entry has no forge.
pub(crate) fn at_forge(app: &App, config: &RepoConfig, entry: &str) -> Result<Runners, ForgeError> {
    let why = || ForgeError::Refused("the entry has no forge whose runners could be asked for".to_owned());
    Runners::new(app.forge_client.clone(), config.forge.as_ref().ok_or_else(why)?, entry)
}

/// The pool of an entry that a job with these labels is for. Of several entries above a job the nearest one that has such a
/// pool counts, wherever that is asked.
pub(crate) fn pool_of<'a>(config: &'a RepoConfig, labels: &[String]) -> Option<&'a Pool> {
    pool_for(&config.runners, config.forge.as_ref()?.kind, labels)
}

/// Changes what an open record knows of its runner, whatever others change in it meanwhile. None where it is over, gone,
/// or there is nothing to change.
pub(crate) async fn amend(
    app: &App,
    claim: &ClaimId,
    change: impl Fn(&mut Runner) -> bool,
) -> Result<Option<Record>, RegistryError> {
    for _ in 0..TRIES {
        let Some(stored) = app.registry.open(claim).await? else { return Ok(None) };
        let mut record = stored.value;
        if matches!(record.phase, Phase::Ended { .. }) {
            return Ok(None);
        }
        let Some(runner) = record.runner.as_deref_mut() else { return Ok(None) };
        if !change(runner) {
            return Ok(None);
        }
        match app.registry.update(claim, &record, stored.index, None).await? {
            Written::Yes(_) => return Ok(Some(record)),
            Written::Conflict | Written::LeaseLost => {}
        }
    }
    Err(RegistryError::Refused("the record is being written by others".to_owned()))
}
