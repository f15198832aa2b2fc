//! `PUT /session/{claim}/log/…`: the build's log, piece by piece, and a while longer than the build.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};

use super::bearer::Bearer;
use super::proof::Proof;
use super::refusal::Refusal;
use crate::api::store::Store;
use crate::dispatcher::history::home_of;
use crate::dispatcher::openapi::{ClaimPath, Sending, Session};
use crate::dispatcher::{App, SharedApp};
use crate::domain::history::Home;
use crate::domain::id::ClaimId;
use crate::domain::log_chunk::{CHUNK_MOST, Chunk, End, LOG_MOST, Stream, TEXT_MOST};
use crate::domain::record::Phase;
use crate::domain::secret::Secret;

/// The last pieces come after the end: the sidecar reads on when the script has ended, and the registry may be quicker.
const AFTER_THE_END: SignedDuration = SignedDuration::from_mins(10);
/// The longest word about an end.
const END_MOST: usize = 1024;

/// Keeps a piece of the log
///
/// The same again is fine. Good for ten minutes longer than the build.
#[utoipa::path(put, path = "/session/{claim}/log/{stream}/{offset}", tag = "controllers", operation_id = "put_log", params(
        ClaimPath,
        ("stream" = String, Path, description = "`stdout` or `stderr`."),
        ("offset" = u64, Path, description = "The first byte's place in the log."),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "Lines with their times."),
    responses(
        (status = 204, description = "It is kept."),
        (status = 404, description = "The server has no store: `urn:albatros:no-store`."),
        Session,
        Sending,
    ),
    security(("session" = [])),)]
pub(crate) async fn put(
    State(app): State<SharedApp>,
    Path((claim, stream, offset)): Path<(String, String, String)>,
    Bearer(secret): Bearer,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let stream = Stream::of(&stream).ok_or_else(no_such)?;
    let offset: u64 = offset.parse().map_err(|_no_number| no_such())?;
    let _place = app.sessions.place()?;
    // Before the body is taken: who has no session costs one read.
    let home = whose(&app, &claim, &secret).await?;
    let store = store(&app)?;
    let taken = app.bodies.take(body, &headers, CHUNK_MOST).await?;
    let chunk = Chunk::from_wire(&taken.bytes).map_err(|error| Refusal::malformed(&error.to_string()))?;
    if chunk.offset != offset {
        return Err(Refusal::malformed("the chunk is another one than its address says"));
    }
    if chunk.end() > LOG_MOST.saturating_add(TEXT_MOST as u64) {
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the log is longer than an archive holds"));
    }
    let key = home.place().log_chunk(&home.own, stream, offset);
    store.put(&key, taken.bytes.clone()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says that the log is whole
#[utoipa::path(post, path = "/session/{claim}/log/{stream}/end", tag = "controllers", operation_id = "end_log", params(
        ClaimPath, ("stream" = String, Path, description = "`stdout` or `stderr`."),
    ),
    request_body = End,
    responses(
        (status = 204, description = "It is kept."),
        (status = 404, description = "The server has no store: `urn:albatros:no-store`."),
        Session,
        Sending,
    ),
    security(("session" = [])),)]
pub(crate) async fn end(
    State(app): State<SharedApp>,
    Path((claim, stream)): Path<(String, String)>,
    Bearer(secret): Bearer,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let stream = Stream::of(&stream).ok_or_else(no_such)?;
    let _place = app.sessions.place()?;
    let home = whose(&app, &claim, &secret).await?;
    let store = store(&app)?;
    let taken = app.bodies.take(body, &headers, END_MOST).await?;
    let end: End =
        serde_json::from_slice(&taken.bytes).map_err(|_words| Refusal::malformed("expected {\"length\"}"))?;
    let bytes = serde_json::to_vec(&end).map_err(|_never| Refusal::later("the end cannot be written down"))?;
    store.put(&home.place().log_end(&home.own, stream), Bytes::from(bytes)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn no_such() -> Refusal {
    Refusal::malformed("a log is stdout or stderr, from a byte on")
}

fn stranger() -> Refusal {
    Refusal::forbidden("this is not the secret of the build's session")
}

fn store(app: &App) -> Result<&Store, Refusal> {
    app.store.as_ref().ok_or_else(Refusal::no_store)
}

/// Where the log belongs of the build whose session this is, while it runs and for ten minutes more.
async fn whose(app: &App, claim: &str, secret: &Secret) -> Result<Home, Refusal> {
    let proof = Proof::of(secret).ok_or_else(stranger)?;
    let claim: ClaimId = claim.parse().map_err(|_no_claim| stranger())?;
    let (session, finished, repo, parent) = match app.registry.open(&claim).await? {
        Some(stored) => {
            let record = stored.value;
            let finished = match record.phase {
                Phase::Ended { .. } => Some(record.finished.unwrap_or(record.created)),
                Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched => None,
            };
            (record.session, finished, record.repo, record.parent)
        }
        None => {
            let done = app.registry.done(&claim).await?.ok_or_else(stranger)?;
            (done.session, Some(done.finished), done.repo, done.parent)
        }
    };
    if !proof.is(session.as_deref()) {
        return Err(stranger());
    }
    if finished.is_some_and(|finished| Timestamp::now().duration_since(finished) > AFTER_THE_END) {
        return Err(Refusal::over());
    }
    Ok(home_of(app, &claim, &repo, parent.as_ref()).await?)
}
