//! Takes a record from `claimed` to `dispatched`. Used by who took the claim, and by the follower for what he left.
//!
//! Killed anywhere in here, the next try does the same again: the claim is the dispatch's token, so there is one child.

mod handed;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use self::handed::{Traces, fit, grant, hands_over_secrets, time_limit};
use super::App;
use super::audit::Line;
use super::on_ref::{self, OffRef};
use crate::domain::builder::{ALWAYS, BuilderShape};
use crate::domain::config::RepoConfig;
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::key;
use crate::domain::near;
use crate::domain::nomad::Job;
use crate::domain::record::{Phase, Record};
use crate::domain::secret::Secret;
use crate::engine::{DispatchError, EngineError, Order};
use crate::registry::{Entry, Stored, Written};

/// Tries of one write against other writers of the same record; each lost one means that another got through.
const TRIES: usize = 10;

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
    /// A child with our token is not what was asked for; the sentence is for the person who pushed. It is nobody's to
    /// adopt.
    #[error("{0}")]
    NotOurs(String),
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
        (Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched | Phase::Ended { .. }, _) => {
            return Ok(Advanced::Elsewhere(Box::new(stored)));
        }
    }
    let shape = builder(app, &stored.value).await?;
    let fitted = fit(&stored.value, &shape, config)?;
    let grant = grant(app, claim, &stored.value, config)?;
    let hands_over = hands_over_secrets(&stored.value, &shape, config, grant.as_ref());
    if hands_over {
        on_ref::check(app, &stored.value, config).await.map_err(|why| match why {
            OffRef::Gone => AdvanceError::Permanent(why.to_string()),
            OffRef::Unasked(error) => passing(error),
        })?;
    }
    let noted = note(app, claim, stored, Traces::of(&fitted, grant.as_ref(), config)).await?;
    let stored = match noted {
        Noted::Ready(stored) => *stored,
        Noted::Otherwise(advanced) => return Ok(advanced),
    };
    let order = Order {
        claim: claim.clone(),
        builder: stored.value.builder.clone(),
        meta: fitted.meta,
        payload: fitted.payload,
        timeout: time_limit(&stored.value, config),
        grant,
    };
    match app.engine.dispatch(&order).await {
        Ok(build) => {
            if hands_over {
                let (secrets, claim, of) = (Some(true), Some(claim.as_str()), Some(build.as_str()));
                let record = Line::of_record(&stored.value);
                Line { verdict: "handed over", secrets, claim, of, ..record }.write("secrets");
            }
            name_child(app, claim, stored, build).await
        }
        Err(DispatchError::Permanent(sentence)) => Err(AdvanceError::Permanent(sentence)),
        Err(error @ DispatchError::NotOurs(_)) => Err(AdvanceError::NotOurs(error.to_string())),
        Err(error @ DispatchError::Passing(_)) => Err(passing(error)),
    }
}

async fn builder(app: &App, record: &Record) -> Result<BuilderShape, AdvanceError> {
    match app.engine.builder(&record.builder).await {
        Ok(shape) => Ok(shape),
        Err(EngineError::Unknown(_)) => Err(AdvanceError::Permanent(no_builder(app, record).await)),
        // A right that is missing may be an agent that has just started: it answers so for a moment.
        Err(error @ (EngineError::Unavailable(_) | EngineError::Refused(_))) => Err(passing(error)),
    }
}

async fn no_builder(app: &App, record: &Record) -> String {
    let Record { builder, namespace, job, .. } = record;
    // Without the list the sentence is true as well.
    let others = app.engine.builders().await.unwrap_or_default();
    let register = match (near::nearest(builder.as_str(), others.iter().map(String::as_str)), job) {
        (Some(other), _) => {
            return format!("there is no builder `{builder}` in namespace `{namespace}`: did you mean `{other}`?");
        }
        (None, Some(_)) if record.runner.is_some() => "hcl/runner.hcl, or name another (runners)",
        (None, Some(_)) => "hcl/container.hcl, or name another (builders.jobs)",
        (None, None) => "it as a parameterized job",
    };
    format!("there is no builder `{builder}` in namespace `{namespace}`: register {register}")
}

enum Noted {
    Ready(Box<Stored<Record>>),
    Otherwise(Advanced),
}

/// Leaves the traces in the record before anything is dispatched. Where another payload's stands there already, the
/// secrets have changed since: a child with the old ones may exist, and is ours.
async fn note(app: &App, claim: &ClaimId, stored: Stored<Record>, traces: Traces) -> Result<Noted, AdvanceError> {
    let Traces { payload, session } = traces;
    let session = session.or_else(|| stored.value.session.clone());
    if payload == stored.value.payload_hmac && session == stored.value.session {
        return Ok(Noted::Ready(Box::new(stored)));
    }
    if payload != stored.value.payload_hmac && stored.value.payload_hmac.is_some() {
        let since = i64::try_from(stored.value.created.as_nanosecond()).unwrap_or_default();
        if let Some(build) = app.engine.find(&stored.value.builder, claim, since).await.map_err(passing)? {
            return Ok(Noted::Otherwise(adopt(app, claim, stored, &build).await?));
        }
    }
    let record = Record { payload_hmac: payload, session, ..stored.value };
    match app.registry.update(claim, &record, stored.index, None).await.map_err(passing)? {
        Written::Yes(index) => Ok(Noted::Ready(Box::new(Stored { value: record, index }))),
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
/// [`AdvanceError::NotOurs`] when it is not.
pub(crate) async fn adopt(
    app: &App,
    claim: &ClaimId,
    stored: Stored<Record>,
    build: &BuildId,
) -> Result<Advanced, AdvanceError> {
    let snapshot = app.engine.observe(build).await.map_err(passing)?;
    if let Some(job) = &snapshot.job {
        let url = stored.value.repo.parse().map_err(passing)?;
        let config = match app.registry.entry(&url).await.map_err(passing)? {
            Entry::Found(found) => Some(found.config),
            Entry::Unknown | Entry::Broken(_) => None,
        };
        if let Some(what) = difference(job, claim, &stored.value, config.as_ref()) {
            return Err(AdvanceError::NotOurs(DispatchError::NotOurs(what).to_string()));
        }
    }
    tracing::info!(claim = claim.as_str(), build = build.as_str(), "a child was adopted");
    name_child(app, claim, stored, build.clone()).await
}

/// In what a child is not what the record asks for. Who cannot see our records cannot guess the token either.
fn difference(job: &Job, claim: &ClaimId, record: &Record, config: Option<&RepoConfig>) -> Option<String> {
    if job.parent_id != record.builder.as_str() {
        return Some("its builder is another".to_owned());
    }
    if job.dispatch_idempotency_token != claim.as_str() {
        return Some("its token is another".to_owned());
    }
    let takes = |key: &str| {
        let known =
            job.parameterized_job.iter().flat_map(|takes| takes.meta_required.iter().chain(&takes.meta_optional));
        ALWAYS.contains(&key) || known.into_iter().any(|known| known == key)
    };
    let differs = |(key, value): &(&String, &String)| takes(key) && job.meta.get(*key) != Some(value);
    if let Some((key, _)) = record.meta.iter().find(differs) {
        return Some(format!("its {key} is another"));
    }
    let payload =
        STANDARD.decode(job.payload.as_deref().unwrap_or_default()).ok().and_then(|it| String::from_utf8(it).ok());
    let is_ours = match (payload.as_deref(), &record.payload_hmac, config) {
        (Some("" | "\n"), None, _) => true,
        (Some(text), Some(trace), Some(config)) => key::payload_hmac(config, &Secret::new(text)) == *trace,
        // Without the configuration's key the trace cannot be followed.
        (Some(_), Some(_), None) => true,
        (None, _, _) | (Some(_), None, _) => false,
    };
    (!is_ours).then(|| "its payload is another".to_owned())
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
            (Phase::Claimed | Phase::Waiting | Phase::Held, None) => {}
            (_, known) => {
                let known = known.as_ref().map(tracing::field::display);
                tracing::error!(claim = claim.as_str(), build = build.as_str(), known, "a child that nobody follows");
                stop_stray(app, &build).await?;
                return Ok(Advanced::Elsewhere(Box::new(stored)));
            }
        }
        let record = Record { phase: Phase::Dispatched, build: Some(build.clone()), ..stored.value };
        match app.registry.update(claim, &record, stored.index, None).await.map_err(passing)? {
            // Who writes it counts it: others may have tried the same, before and now.
            Written::Yes(_) => {
                app.metrics.dispatched(&record);
                return Ok(Advanced::Dispatched(build));
            }
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn claim() -> ClaimId {
        "a".repeat(64).parse().unwrap()
    }

    fn record() -> Record {
        let meta =
            json!({"REPO_URL": "r", "COMMIT": "c", "BRANCH": "main", "FLAVOR": "default", "REF": "refs/heads/main"});
        serde_json::from_value(json!({
            "version": 1, "nonce": "n", "repo": "http://git.example/a/b", "canonical": "http://git.example/a/b",
            "ref": "refs/heads/main", "branch": "main", "before": "", "commit": "1".repeat(40), "flavor": "default",
            "event": "push", "sender": {"login": "quentin"}, "trusted": true, "private": false,
            "builder": "builder", "namespace": "ci", "meta": meta, "created": "2026-11-21T00:00:00Z",
            "phase": {"is": "claimed"},
        }))
        .unwrap()
    }

    fn child(change: impl Fn(&mut Value)) -> Job {
        let mut job = json!({
            "ParentID": "builder", "DispatchIdempotencyToken": claim(), "Payload": "Cg==",
            "ParameterizedJob": {"MetaOptional": ["REF"]},
            "Meta": {"REPO_URL": "r", "COMMIT": "c", "BRANCH": "main", "FLAVOR": "default", "REF": "refs/heads/main"},
        });
        change(&mut job);
        serde_json::from_value(job).unwrap()
    }

    #[test]
    fn a_found_child_is_adopted_only_if_it_is_what_the_record_asks_for() {
        assert_eq!(difference(&child(|_| {}), &claim(), &record(), None), None);
        let undeclared = child(|job| {
            job["ParameterizedJob"] = Value::Null;
            job["Meta"].as_object_mut().unwrap().remove("REF");
        });
        assert_eq!(difference(&undeclared, &claim(), &record(), None), None);
        let changes: [fn(&mut Value); 5] = [
            |job| job["ParentID"] = "other".into(),
            |job| job["DispatchIdempotencyToken"] = "b".repeat(64).into(),
            |job| job["Meta"]["COMMIT"] = "evil".into(),
            |job| job["Meta"]["REF"] = "evil".into(),
            |job| job["Payload"] = "ZXZpbA==".into(),
        ];
        for change in changes {
            let said = difference(&child(change), &claim(), &record(), None);
            assert!(said.as_ref().is_some_and(|said| !said.contains("evil")), "{said:?}");
        }
    }

    #[test]
    fn a_payload_is_known_by_its_trace() {
        let config = RepoConfig::parse(br#"{"hook": {"secret": "s"}}"#).unwrap();
        let mut record = record();
        record.payload_hmac = Some(key::payload_hmac(&config, &Secret::new("A=b\n")));
        let with = |payload: &str| child(|job| job["Payload"] = STANDARD.encode(payload).into());
        assert_eq!(difference(&with("A=b\n"), &claim(), &record, Some(&config)), None);
        assert!(difference(&with("A=evil\n"), &claim(), &record, Some(&config)).is_some());
    }
}
