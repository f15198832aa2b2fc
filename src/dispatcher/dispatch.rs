//! Takes a record from `claimed` to `dispatched`. Used by who took the claim, and by the follower for what he left.
//!
//! Killed anywhere in here, the next try does the same again: the claim is the dispatch's token, so there is one child.

use super::App;
use crate::api::forge::Forge;
use crate::domain::builder::BuilderShape;
use crate::domain::config::RepoConfig;
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::key;
use crate::domain::nomad::Job;
use crate::domain::plan::{self, Fitted};
use crate::domain::record::{Phase, Record};
use crate::engine::{DispatchError, Engine, EngineError, Order};
use crate::registry::{Stored, Written};

/// Tries of one write against other writers of the same record; each lost one means that another got through.
const TRIES: usize = 10;
/// The values that every child has, whatever its builder declares.
const ALWAYS: [&str; 4] = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"];

/// What became of the record.
#[derive(Debug)]
pub(crate) enum Advanced {
    /// There is a child, and the record names it.
    Dispatched(BuildId),
    /// It is not one to dispatch now: held, being stopped, or ended.
    Elsewhere(Box<Stored<Record>>),
    /// There is no such open record any more.
    Gone,
}

/// Why there is no child yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdvanceError {
    /// It will not work as things stand; the sentence is for the person who pushed.
    #[error("{0}")]
    Permanent(String),
    /// Try again.
    #[error("the build could not be dispatched now")]
    Passing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn passing(error: impl std::error::Error + Send + Sync + 'static) -> AdvanceError {
    AdvanceError::Passing(Box::new(error))
}

/// Dispatches the record's build unless that is done, and writes its id into the record.
///
/// # Errors
/// See [`AdvanceError`]; the record stays as it was.
pub(crate) async fn advance(
    app: &App,
    claim: &ClaimId,
    stored: Stored<Record>,
    config: &RepoConfig,
) -> Result<Advanced, AdvanceError> {
    match (&stored.value.phase, &stored.value.build) {
        (Phase::Dispatched, Some(build)) => return Ok(Advanced::Dispatched(build.clone())),
        (Phase::Claimed, _) if stored.value.stop.is_none() => {}
        (Phase::Held | Phase::Claimed | Phase::Dispatched | Phase::Ended { .. }, _) => {
            return Ok(Advanced::Elsewhere(Box::new(stored)));
        }
    }
    let shape = builder(app, &stored.value).await?;
    let fitted =
        plan::fit(&stored.value.meta, &shape, stored.value.trusted, config).map_err(AdvanceError::Permanent)?;
    let inject = config.inject.clone().filter(|_| stored.value.trusted && fitted.payload.is_none());
    if hands_over_secrets(app, &stored.value, &shape, config) {
        check_ref(app, &stored.value, config).await?;
    }
    let stored = match note_payload(app, claim, stored, &fitted, config).await? {
        Noted::Ready(stored) => stored,
        Noted::Otherwise(advanced) => return Ok(advanced),
    };
    let order = Order {
        claim: claim.clone(),
        builder: stored.value.builder.clone(),
        meta: fitted.meta,
        payload: fitted.payload,
        timeout: config.timeout.get(),
        inject,
    };
    match app.engine.dispatch(&order).await {
        Ok(build) => name_child(app, claim, stored, build).await,
        Err(DispatchError::Permanent(sentence)) => Err(AdvanceError::Permanent(sentence)),
        Err(error @ DispatchError::NotOurs(_)) => Err(AdvanceError::Permanent(error.to_string())),
        Err(error @ DispatchError::Passing(_)) => Err(passing(error)),
    }
}

async fn builder(app: &App, record: &Record) -> Result<BuilderShape, AdvanceError> {
    app.engine.builder(&record.builder).await.map_err(|error| match error {
        EngineError::Unknown(_) => AdvanceError::Permanent(format!(
            "there is no builder `{}` in namespace `{}`: register it as a parameterized job",
            record.builder, record.namespace
        )),
        // A right that is missing may be an agent that has just started: it answers so for a moment.
        EngineError::Unavailable(_) | EngineError::Refused(_) => passing(error),
    })
}

/// Whether the dispatch itself carries the repository's secrets.
fn hands_over_secrets(app: &App, record: &Record, shape: &BuilderShape, config: &RepoConfig) -> bool {
    let there_are = config.inject.as_ref().is_some_and(|secrets| !secrets.expose().is_empty());
    let with_dispatch = match app.engine {
        Engine::Nomad(_) => !shape.has_controller,
        Engine::Local(_) => true,
    };
    record.trusted && there_are && with_dispatch
}

/// An old signed delivery may be sent again after its commit was taken back: it must get no secrets.
async fn check_ref(app: &App, record: &Record, config: &RepoConfig) -> Result<(), AdvanceError> {
    let Some(forge) = &config.forge else { return Ok(()) };
    let forge = Forge::new(app.forge_client.clone(), forge, &record.repo).map_err(passing)?;
    match forge.holds(&record.git_ref, &record.commit).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(AdvanceError::Permanent("commit is no longer on REF".to_owned())),
        Err(error) => Err(passing(error)),
    }
}

enum Noted {
    Ready(Stored<Record>),
    Otherwise(Advanced),
}

/// Leaves the payload's trace in the record before anything is dispatched. Where another one stands there already, the
/// secrets have changed since: a child with the old ones may exist, and is ours.
async fn note_payload(
    app: &App,
    claim: &ClaimId,
    stored: Stored<Record>,
    fitted: &Fitted,
    config: &RepoConfig,
) -> Result<Noted, AdvanceError> {
    let trace = fitted.payload.as_ref().map(|payload| key::payload_hmac(config, payload));
    if trace == stored.value.payload_hmac {
        return Ok(Noted::Ready(stored));
    }
    if stored.value.payload_hmac.is_some() {
        let since = i64::try_from(stored.value.created.as_nanosecond()).unwrap_or_default();
        if let Some(build) = app.engine.find(&stored.value.builder, claim, since).await.map_err(passing)? {
            return Ok(Noted::Otherwise(adopt(app, claim, stored, &build).await?));
        }
    }
    let record = Record { payload_hmac: trace, ..stored.value };
    match app.registry.update(claim, &record, stored.index, None).await.map_err(passing)? {
        Written::Yes(index) => Ok(Noted::Ready(Stored { value: record, index })),
        Written::Conflict | Written::LeaseLost => Ok(Noted::Otherwise(elsewhere(app, claim).await?)),
    }
}

async fn elsewhere(app: &App, claim: &ClaimId) -> Result<Advanced, AdvanceError> {
    let stored = app.registry.open(claim).await.map_err(passing)?;
    Ok(match stored {
        None => Advanced::Gone,
        Some(stored) => match &stored.value.build {
            Some(build) => Advanced::Dispatched(build.clone()),
            None => Advanced::Elsewhere(Box::new(stored)),
        },
    })
}

/// Takes a child that was found with our token as this record's, if it is what the record asks for.
///
/// # Errors
/// Permanent when the child is not ours.
pub(crate) async fn adopt(
    app: &App,
    claim: &ClaimId,
    stored: Stored<Record>,
    build: &BuildId,
) -> Result<Advanced, AdvanceError> {
    let snapshot = app.engine.observe(build).await.map_err(passing)?;
    if let Some(job) = &snapshot.job
        && let Some(what) = difference(job, claim, &stored.value)
    {
        return Err(AdvanceError::Permanent(DispatchError::NotOurs(what).to_string()));
    }
    tracing::info!(claim = claim.as_str(), build = build.as_str(), "a child was adopted");
    name_child(app, claim, stored, build.clone()).await
}

/// In what a child is not what the record asks for.
fn difference(job: &Job, claim: &ClaimId, record: &Record) -> Option<String> {
    if job.parent_id != record.builder.as_str() {
        return Some("its builder is another one".to_owned());
    }
    if job.dispatch_idempotency_token != claim.as_str() {
        return Some("its token is another one".to_owned());
    }
    let differs = |key: &&str| job.meta.get(*key) != record.meta.get(*key);
    ALWAYS.iter().find(|key| differs(key)).map(|key| format!("its {key} is another one"))
}

/// Writes `dispatched` and the id. Whoever wrote it first must have written the same id, for the token is the same.
async fn name_child(
    app: &App,
    claim: &ClaimId,
    mut stored: Stored<Record>,
    build: BuildId,
) -> Result<Advanced, AdvanceError> {
    for _ in 0..TRIES {
        match (&stored.value.phase, &stored.value.build) {
            (_, Some(known)) if *known == build => return Ok(Advanced::Dispatched(build)),
            (Phase::Claimed | Phase::Held, None) => {}
            (_, known) => {
                let known = known.as_ref().map(tracing::field::display);
                tracing::error!(claim = claim.as_str(), build = build.as_str(), known, "a child that nobody follows");
                stop_stray(app, &build).await?;
                return Ok(Advanced::Elsewhere(Box::new(stored)));
            }
        }
        let record = Record { phase: Phase::Dispatched, build: Some(build.clone()), ..stored.value };
        match app.registry.update(claim, &record, stored.index, None).await.map_err(passing)? {
            Written::Yes(_) => return Ok(Advanced::Dispatched(build)),
            Written::Conflict | Written::LeaseLost => {}
        }
        match app.registry.open(claim).await.map_err(passing)? {
            Some(newer) => stored = newer,
            None => return gone(app, claim, build).await,
        }
    }
    Err(AdvanceError::Passing("the record is being written by others".into()))
}

/// The record is no longer open: it has ended with this child, or without it while it was being dispatched.
async fn gone(app: &App, claim: &ClaimId, build: BuildId) -> Result<Advanced, AdvanceError> {
    let done = app.registry.done(claim).await.map_err(passing)?;
    if done.is_some_and(|done| done.build.as_ref() == Some(&build)) {
        return Ok(Advanced::Dispatched(build));
    }
    tracing::warn!(claim = claim.as_str(), build = build.as_str(), "its change ended while it was being dispatched");
    stop_stray(app, &build).await?;
    Ok(Advanced::Gone)
}

async fn stop_stray(app: &App, build: &BuildId) -> Result<(), AdvanceError> {
    app.engine.stop(build).await.map_err(passing)
}
