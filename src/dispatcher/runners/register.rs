//! A runner's registration at its forge: once for a record, and never more than one that is good.

use jiff::Timestamp;

use super::{amend, at_forge};
use crate::api::forge::{ForgeError, Registered, Runners};
use crate::dispatcher::App;
use crate::dispatcher::audit::Line;
use crate::domain::id::ClaimId;
use crate::domain::record::Record;
use crate::domain::runner_wire::RunnerRegistration;
use crate::domain::runners::Runner;
use crate::registry::{Entry, RegistryError, Stored};

/// Why there is no registration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegisterError {
    /// The record is of no runner.
    #[error("this build is no runner: its record has no job of a workflow")]
    None,
    /// The runner is being stopped, has a job already, or is over.
    #[error("nobody needs this runner any more")]
    Over,
    /// The entry is gone, or has no runners any more.
    #[error("runners are no longer configured for it")]
    Unconfigured,
    /// The entry cannot be used now.
    #[error("the configuration cannot be used; the reason is in Albatros's log")]
    Broken,
    /// Another request for the same runner was quicker.
    #[error("the runner is being registered by another request")]
    Overtaken,
    /// The forge did not do it.
    #[error("the forge has not registered the runner")]
    Forge(#[from] ForgeError),
    /// The registry did not answer.
    #[error("the registry cannot be read or written now")]
    Registry(#[from] RegistryError),
}

/// Registers the runner of an open record. What was registered for it before is removed: its answer was lost.
pub(crate) async fn register(
    app: &App,
    claim: &ClaimId,
    stored: &Stored<Record>,
) -> Result<RunnerRegistration, RegisterError> {
    let record = &stored.value;
    let Some(runner) = record.runner.as_deref() else { return Err(RegisterError::None) };
    if record.stop.is_some() || !runner.is_idle() {
        return Err(RegisterError::Over);
    }
    let forge = forge_of(app, record).await?;
    let (again, now) = (runner.registering.is_some(), Timestamp::now());
    // Before the forge is asked: whoever ends this record has to look for what is registered from here on.
    let mark = |runner: &mut Runner| {
        (runner.registering, runner.registered) = (Some(now), None);
        runner.is_idle()
    };
    let marked = amend(app, claim, mark).await?.ok_or(RegisterError::Over)?;
    if marked.stop.is_some() {
        return Err(RegisterError::Over);
    }
    if again {
        forge.remove_named(&runner.name, runner.registered).await?;
    }
    let Registered { id, registration } = forge.register(runner).await?;
    match settled(app, claim, now, id).await {
        Ok(()) => {
            let (verdict, of) = (if again { "registered again" } else { "registered" }, Some(runner.name.as_str()));
            Line { verdict, of, claim: Some(claim.as_str()), ..Line::of_record(record) }.write("runner");
            Ok(registration)
        }
        Err(error) => {
            if let Err(left) = forge.remove(id).await {
                let left = &left as &dyn std::error::Error;
                tracing::warn!(claim = claim.as_str(), error = left, "a runner is left to be removed at the forge");
            }
            Err(error)
        }
    }
}

/// Writes the forge's number down, unless the record is over or another request has begun since.
async fn settled(app: &App, claim: &ClaimId, began: Timestamp, id: u64) -> Result<(), RegisterError> {
    let is_ours = |runner: &Runner| runner.registering == Some(began) && runner.registered.is_none();
    let change = |runner: &mut Runner| {
        let is_ours = is_ours(runner);
        if is_ours {
            runner.registered = Some(id);
        }
        is_ours
    };
    match amend(app, claim, change).await? {
        Some(record) if record.stop.is_some() => Err(RegisterError::Over),
        Some(_) => Ok(()),
        None => match app.registry.open(claim).await? {
            Some(stored) if stored.value.runner.as_deref().is_some_and(|it| it.registering != Some(began)) => {
                Err(RegisterError::Overtaken)
            }
            Some(_) | None => Err(RegisterError::Over),
        },
    }
}

async fn forge_of(app: &App, record: &Record) -> Result<Runners, RegisterError> {
    let url = record.repo.parse().map_err(|_no_address| RegisterError::Unconfigured)?;
    match app.registry.entry_now(&url).await? {
        Entry::Found(found) if !found.config.runners.is_empty() => Ok(at_forge(app, &found.config, &found.repo)?),
        Entry::Found(_) | Entry::Unknown => Err(RegisterError::Unconfigured),
        Entry::Broken(reason) => {
            tracing::error!(repo = record.canonical, reason, "the configuration cannot be used");
            Err(RegisterError::Broken)
        }
    }
}
