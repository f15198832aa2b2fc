//! A job as its parent's controller is told of it: by the registry alone, however many ask.

use crate::domain::config::RepoConfig;
use crate::domain::id::{ClaimId, JobName};
use crate::domain::job::{Job, JobState};
use crate::domain::key;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::record::{Done, Phase, Record};
use crate::domain::status;

/// Named by its parent, and nothing else yet.
pub(super) fn named(name: &JobName, claim: &ClaimId) -> Job {
    Job {
        name: name.clone(),
        build: None,
        claim: claim.clone(),
        needs: Vec::new(),
        state: JobState::Claimed,
        reason: String::new(),
        ended: false,
        exit_code: None,
        ready: false,
        address: None,
        secret: None,
    }
}

/// Not over, or only just.
pub(super) fn open(name: &JobName, claim: &ClaimId, record: &Record, config: Option<&RepoConfig>) -> Job {
    let (state, reason) = how_far(record);
    let outcome = match &record.phase {
        Phase::Ended { outcome } => Some(outcome),
        Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched => None,
    };
    let is_service = record.job.as_ref().is_some_and(|job| job.service);
    let serves = is_service && outcome.is_none();
    Job {
        build: record.build.clone(),
        needs: record.job.as_deref().map(|job| job.needs.clone()).unwrap_or_default(),
        state,
        reason,
        ended: outcome.is_some(),
        exit_code: outcome.and_then(Outcome::exit_code),
        ready: serves && state == JobState::Running && record.address.is_some(),
        address: record.address.clone().filter(|_| serves),
        secret: config.filter(|_| serves).map(|config| key::service_secret(config, claim)),
        ..named(name, claim)
    }
}

fn how_far(record: &Record) -> (JobState, String) {
    let state = match (&record.phase, &record.seen) {
        (Phase::Ended { outcome }, _) => {
            let took = record.finished.zip(record.started).map(|(finished, started)| finished.duration_since(started));
            return (outcome.into(), status::sentence(outcome, took));
        }
        (Phase::Held, _) => (JobState::Held, "waiting for approval".to_owned()),
        (Phase::Waiting | Phase::Claimed, _) => (JobState::Claimed, String::new()),
        (Phase::Dispatched, None) => (JobState::Queued, String::new()),
        (Phase::Dispatched, Some(verdict)) => (verdict.into(), reason(verdict)),
    };
    match &record.stop {
        Some(stop) => (state.0, format!("being stopped: {}", status::why_stopped(stop))),
        None => state,
    }
}

fn reason(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Queued { reason } | Verdict::Unplaceable { reason } | Verdict::Open { reason, .. } => reason.clone(),
        Verdict::Ended(_) | Verdict::Preparing | Verdict::Running => String::new(),
    }
}

/// Over and settled.
pub(super) fn done(name: &JobName, claim: &ClaimId, done: &Done) -> Job {
    let took = done.started.map(|started| done.finished.duration_since(started));
    Job {
        build: done.build.clone(),
        needs: done.needs.clone(),
        state: (&done.outcome).into(),
        reason: status::sentence(&done.outcome, took),
        ended: true,
        exit_code: done.outcome.exit_code(),
        ..named(name, claim)
    }
}
