//! `POST /session`: a controller's proof of who it is, and a secret that it has made up, for what its build may have.
//!
//! Once: the record keeps the secret's hash. The same secret again is answered again, for the answer may have been
//! lost; another one is not, so a token that leaks later is worth nothing.

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

use super::bearer::Bearer;
use super::proof::Proof;
use super::refusal::Refusal;
use crate::dispatcher::metrics::{SessionLabel, SessionResult};
use crate::dispatcher::{App, SharedApp, on_ref};
use crate::domain::config::RepoConfig;
use crate::domain::grant::{Grant, GrantWire};
use crate::domain::id::ClaimId;
use crate::domain::identity::{Identity, Stranger};
use crate::domain::record::{Phase, Record};
use crate::domain::secret::Secret;
use crate::registry::{Entry, Stored, Written};

/// A claim and a secret, and room for what later versions add.
const BODY_LIMIT: usize = 4 * 1024;
/// Tries of one write against other writers of the same record; each lost one means that another got through.
const TRIES: usize = 10;

/// What a controller sends.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = Exchange)]
struct Ask {
    /// What its child's meta says; anything, where the child was dispatched by hand.
    claim: String,
    /// 64 hexadecimal digits, made up by the controller.
    #[schema(value_type = String, pattern = "^[0-9a-fA-F]{64}$")]
    secret: Secret,
}

/// What a build is given.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) grant: Grant,
    /// Its controller was here before.
    pub(super) again: bool,
}

/// What a build may have, for its controller
///
/// Once: the record keeps the hash of the secret that is sent along. The same secret again is answered again, for the answer
/// may have been lost; another one is not.
#[utoipa::path(post, path = "/session", tag = "controllers", request_body = Ask,
    responses(
        (status = 200, description = "The grant: what is built, and the secrets of a trusted build.", body = GrantWire),
        (status = 400, description = "The body is no exchange."),
        (status = 401, description = "The identity is no good."),
        (status = 403, description = "The build has no session, or it is not this build's."),
        (status = 404, description = "Builds of this server have no sessions."),
        (status = 408, description = "The body did not arrive in time."),
        (status = 409, description = "The build has a session already, with another secret."),
        (status = 410, description = "The build is over."),
        (status = 413, description = "The body is too large."),
        (status = 422, description = "The commit is no longer on its ref, or a job names what there is not."),
        (status = 503, description = "Not now: try again after `Retry-After`."),
    ),
    security(("identity" = [])),)]
pub(crate) async fn exchange(
    State(app): State<SharedApp>,
    Bearer(token): Bearer,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let ask = ask(&app, body, &headers).await?;
    let identity = identify(&app, &token).await?;
    let decided = decide(&app, &identity, &ask).await;
    count(&app, &decided);
    let (claim, granted) = decided.inspect_err(|refusal| app.sessions.refused(&ask.claim, &identity, refusal))?;
    app.sessions.granted(&claim, &identity, &granted);
    let wire = granted.grant.to_wire().map_err(|_never| Refusal::later("the grant cannot be written down"))?;
    Ok((StatusCode::OK, [(CONTENT_TYPE, "application/json")], wire).into_response())
}

async fn ask(app: &App, body: Body, headers: &HeaderMap) -> Result<Ask, Refusal> {
    let taken = app.bodies.take(body, headers, BODY_LIMIT).await?;
    // The reader's own words may repeat the secret.
    serde_json::from_slice(&taken.bytes).map_err(|_words| Refusal::malformed("expected {\"claim\", \"secret\"}"))
}

async fn identify(app: &App, token: &Secret) -> Result<Identity, Refusal> {
    let identified = app.engine.identify(token).await.map_err(Refusal::from);
    identified.inspect_err(|refusal| app.sessions.turned_away(refusal))
}

fn count(app: &App, decided: &Result<(ClaimId, Granted), Refusal>) {
    let result = match decided {
        Ok(_) => SessionResult::Granted,
        Err(refusal) if refusal.passes() => SessionResult::Later,
        Err(_) => SessionResult::Refused,
    };
    app.metrics.sessions.get_or_create(&SessionLabel { result }).inc();
}

/// All checks, in the order of what they cost, and the one write.
async fn decide(app: &App, identity: &Identity, ask: &Ask) -> Result<(ClaimId, Granted), Refusal> {
    let proof = Proof::of(&ask.secret).ok_or_else(|| Refusal::malformed("the secret must be 64 hexadecimal digits"))?;
    let claim: ClaimId = ask.claim.parse().map_err(|_no_claim| unknown())?;
    let _place = app.sessions.place()?;
    for _ in 0..TRIES {
        let stored = open(app, &claim, identity).await?;
        check_build(app, identity, &stored.value).await?;
        let again = proof.is_of(&stored.value);
        if stored.value.session.is_some() && !again {
            return Err(Refusal::taken());
        }
        let config = configuration(app, &stored.value).await?;
        let grant = Grant::of(&claim, &stored.value, &config)?;
        if grant.is_for_the_ref_alone() {
            on_ref::check(app, &stored.value, &config).await?;
        }
        if again || keep(app, &claim, stored, &proof).await? {
            return Ok((claim, Granted { grant, again }));
        }
    }
    Err(Refusal::later("the record is being written by others"))
}

fn unknown() -> Refusal {
    Refusal::forbidden("there is no such change: a build that was dispatched by hand has no session")
}

/// The open record, if it is of the controller's own builder.
async fn open(app: &App, claim: &ClaimId, identity: &Identity) -> Result<Stored<Record>, Refusal> {
    let Some(stored) = app.registry.open(claim).await? else {
        let done = app.registry.done(claim).await?;
        return Err(if done.is_some() { Refusal::over() } else { unknown() });
    };
    identity.is_of_builder(&stored.value, &app.settings.region)?;
    Ok(stored)
}

/// Whether it is the controller of the record's very child, which runs.
async fn check_build(app: &App, identity: &Identity, record: &Record) -> Result<(), Refusal> {
    match (&record.phase, &record.build) {
        (Phase::Ended { .. }, _) => return Err(Refusal::over()),
        (Phase::Claimed, None) => return Err(Refusal::later("the build's id is not written down yet")),
        (Phase::Held | Phase::Waiting, _) | (Phase::Dispatched, None) => return Err(Stranger::Claim.into()),
        (Phase::Claimed | Phase::Dispatched, Some(_)) => {}
    }
    let placed = app.engine.placed(identity.allocation()).await?.ok_or(Stranger::Allocation)?;
    Ok(identity.is_of_build(record, &placed.allocation, &placed.job)?)
}

/// The repository's configuration as it is now: what was taken from it since the dispatch is not given any more.
async fn configuration(app: &App, record: &Record) -> Result<RepoConfig, Refusal> {
    let url = record.repo.parse().map_err(|_no_address| unknown())?;
    match app.registry.entry_now(&url).await? {
        Entry::Found(found) => Ok(found.config),
        Entry::Unknown => Err(Refusal::forbidden("the repository is no longer configured")),
        Entry::Broken(reason) => {
            tracing::error!(repo = record.canonical, reason, "the repository's configuration cannot be used");
            Err(Refusal::later("the repository's configuration cannot be used; the reason is in Albatros's log"))
        }
    }
}

/// Writes the session down; whether it did, or somebody else wrote something first.
async fn keep(app: &App, claim: &ClaimId, stored: Stored<Record>, proof: &Proof) -> Result<bool, Refusal> {
    let record = Record { session: Some(proof.clone().into_session()), ..stored.value };
    match app.registry.update(claim, &record, stored.index, None).await? {
        Written::Yes(_) => Ok(true),
        Written::Conflict | Written::LeaseLost => Ok(false),
    }
}
