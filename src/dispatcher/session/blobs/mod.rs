//! A build's artifacts and caches, as its controller puts and gets them.
//!
//! `begin` says where bytes go, `upload` takes them where they pass through here, `commit` makes them a blob: nothing can
//! be read before. `give` hands one out, `choose` which one.

mod begin;
mod choose;
mod commit;
mod give;
mod room;
pub(crate) mod upload;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};

use super::bearer::Bearer;
use super::refusal::Refusal;
use crate::dispatcher::{App, SharedApp};
use crate::domain::blob::BlobKind;
use crate::domain::id::BlobId;
use crate::domain::secret::Secret;

use room::Room;
use utoipa::OpenApi;

pub(crate) use upload::upload;

/// What these handlers are.
#[derive(OpenApi)]
#[openapi(paths(give::list, begin::begin, give::give, give::label, commit::commit, upload::upload))]
pub(crate) struct Described;

/// What begins and commits is a few words.
const BODY_LIMIT: usize = 8 * 1024;

/// `/session/{claim}/{artifacts|caches}/{id}`
pub(crate) fn one(kind: BlobKind) -> MethodRouter<SharedApp> {
    let begin = move |State(app): State<SharedApp>, Path(path), Bearer(secret), headers: HeaderMap, body: Body| async move {
        let ask: begin::Ask = words(&app, body, &headers, "expected {\"size\"}").await?;
        told(&app, kind, (path, secret), async |room, id| begin::begin(&room, kind, id, &ask).await).await
    };
    let give = move |State(app): State<SharedApp>, Path(path), Bearer(secret), RawQuery(query): RawQuery| async move {
        let query = query.unwrap_or_default();
        told(&app, kind, (path, secret), async |room, id| give::give(&room, kind, id, &query).await).await
    };
    let label = move |State(app): State<SharedApp>, Path(path), Bearer(secret), RawQuery(query): RawQuery| async move {
        let query = query.unwrap_or_default();
        told(&app, kind, (path, secret), async |room, id| give::label(&room, kind, id, &query).await).await
    };
    get(give).head(label).post(begin)
}

/// `/session/{claim}/{artifacts|caches}/{id}/commit`
pub(crate) fn commit(kind: BlobKind) -> MethodRouter<SharedApp> {
    post(move |State(app): State<SharedApp>, Path(path), Bearer(secret), headers: HeaderMap, body: Body| async move {
        let expected = "expected {\"upload\", \"size\", \"sha256\", \"packing\", \"name\"}";
        let told_of: commit::Told = words(&app, body, &headers, expected).await?;
        told(&app, kind, (path, secret), async |room, id| commit::commit(&room, kind, id, told_of).await).await
    })
}

/// `/session/{claim}/artifacts`
pub(crate) fn list() -> MethodRouter<SharedApp> {
    get(|State(app): State<SharedApp>, Path(claim): Path<String>, Bearer(secret), RawQuery(query)| async move {
        let room = Room::of(&app, &claim, &secret).await?;
        let listed = give::list(&room, &query.unwrap_or_default()).await;
        listed.inspect_err(|refusal| app.sessions.unserved(&room.claim, refusal))
    })
}

type Asked = ((String, String), Secret);

async fn words<T: serde::de::DeserializeOwned>(
    app: &App,
    body: Body,
    headers: &HeaderMap,
    expected: &str,
) -> Result<T, Refusal> {
    let taken = app.bodies.take(body, headers, BODY_LIMIT).await?;
    serde_json::from_slice(&taken.bytes).map_err(|error| Refusal::malformed(&format!("{expected}: {error}")))
}

/// The caller's room and the id, for what is done there; its failures of ours are logged.
async fn told(
    app: &App,
    kind: BlobKind,
    ((claim, id), secret): Asked,
    act: impl AsyncFnOnce(Room<'_>, &BlobId) -> Result<Response, Refusal>,
) -> Result<Response, Refusal> {
    let room = Room::of(app, &claim, &secret).await?;
    let id: BlobId = id.parse().map_err(|error| Refusal::malformed(&format!("{}: {error}", one_of(kind))))?;
    let claim = room.claim.clone();
    act(room, &id).await.inspect_err(|refusal| app.sessions.unserved(&claim, refusal))
}

/// What one is called, for people.
fn one_of(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::Artifact => "artifact",
        BlobKind::Cache => "cache",
    }
}
