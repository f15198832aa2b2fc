//! What is handed over with a dispatch, and to whom: fitted to the builder, with its traces for the record.

use std::time::Duration;

use super::AdvanceError;
use crate::dispatcher::App;
use crate::dispatcher::session::Proof;
use crate::domain::builder::BuilderShape;
use crate::domain::config::RepoConfig;
use crate::domain::grant::{GivenSession, Grant};
use crate::domain::id::ClaimId;
use crate::domain::key;
use crate::domain::plan::{self, Fitted};
use crate::domain::record::Record;
use crate::domain::trigger;
use crate::engine::Engine;

/// What is sent with the dispatch. A job is told what to do, and given what it may have, by its controller alone.
pub(super) fn fit(record: &Record, shape: &BuilderShape, config: &RepoConfig) -> Result<Fitted, AdvanceError> {
    let Some(job) = &record.job else {
        if let Some(why) = trigger::undeliverable(&record.params, shape) {
            return Err(AdvanceError::Permanent(why));
        }
        return plan::fit(&record.meta, shape, record.trusted, config).map_err(AdvanceError::Permanent);
    };
    let builder = &record.builder;
    if !shape.has_controller {
        let file = if record.runner.is_some() { "hcl/runner.hcl" } else { "hcl/container.hcl" };
        let why = format!("the builder `{builder}` cannot run jobs, as it has no task `controller` with our identity");
        return Err(AdvanceError::Permanent(format!("{why}: register {file}, or name another builder")));
    }
    if job.image.is_some() && !shape.takes("IMAGE") {
        let why = format!("the builder `{builder}` takes no image: leave `image` out, or name another builder of jobs");
        return Err(AdvanceError::Permanent(why));
    }
    plan::fit(&record.meta, shape, false, config).map_err(AdvanceError::Permanent)
}

/// The configuration's, or a job's own where that is less.
pub(super) fn time_limit(record: &Record, config: &RepoConfig) -> Duration {
    if let Some(runner) = record.runner.as_deref() {
        return runner.timeout.get();
    }
    let own = record.job.as_ref().and_then(|job| job.timeout);
    own.map_or(config.timeout, |own| own.min(config.timeout)).get()
}

/// A local build's controller is handed at its start what others ask for, its session too.
pub(super) fn grant(
    app: &App,
    claim: &ClaimId,
    record: &Record,
    config: &RepoConfig,
) -> Result<Option<Grant>, AdvanceError> {
    match app.engine {
        Engine::Nomad(_) => Ok(None),
        Engine::Local(_) => {
            let session = app.settings.loopback.clone().map(|server| GivenSession {
                server,
                claim: claim.clone(),
                secret: key::session_secret(config, claim),
            });
            let grant = Grant::of(claim, record, config).map_err(|why| AdvanceError::Permanent(why.to_string()))?;
            Ok(Some(Grant { session, ..grant }))
        }
    }
}

/// Whether the dispatch itself carries the repository's secrets: in a payload, or in a local build's grant.
pub(super) fn hands_over_secrets(
    record: &Record,
    shape: &BuilderShape,
    config: &RepoConfig,
    grant: Option<&Grant>,
) -> bool {
    let there_are = config.inject.as_ref().is_some_and(|secrets| !secrets.expose().is_empty());
    match grant {
        Some(grant) => grant.is_for_the_ref_alone(),
        None => record.trusted && there_are && !shape.has_controller && record.job.is_none(),
    }
}

/// What the record keeps of what a dispatch hands over.
pub(super) struct Traces {
    pub(super) payload: Option<String>,
    pub(super) session: Option<String>,
}

impl Traces {
    pub(super) fn of(fitted: &Fitted, grant: Option<&Grant>, config: &RepoConfig) -> Self {
        // A newline is what a builder gets that insists on a payload where there are no secrets.
        let secrets = fitted.payload.as_ref().filter(|payload| payload.expose() != "\n");
        let payload = secrets.map(|payload| key::payload_hmac(config, payload));
        let session = grant.and_then(|grant| Proof::of(&grant.session.as_ref()?.secret));
        Self { payload, session: session.map(Proof::into_session) }
    }
}
