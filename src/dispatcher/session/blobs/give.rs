//! `GET` and `HEAD /session/{claim}/{artifacts|caches}/{id}`, and the list of artifacts.

use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use jiff::Timestamp;

use super::choose::{self, Asked, Chosen};
use super::one_of;
use super::room::Room;
use crate::api::store::Signed;
use crate::dispatcher::blobs::shelf;
use crate::dispatcher::metrics::Direction;
use crate::dispatcher::openapi::{ClaimPath, Session};
use crate::dispatcher::session::refusal::Refusal;
use crate::domain::blob::{BlobKind, Manifest};
use crate::domain::id::BlobId;
use crate::domain::label::Label;

/// A download has begun by then; it may go on for longer.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);
/// How exactly it is known when a cache was last used: a write a day.
const USED_WITHIN: Duration = Duration::from_secs(24 * 3_600);

/// An artifact
///
/// Its bytes, or the address where they are; `x-albatros-…` headers say what it is.
#[utoipa::path(get, path = "/session/{claim}/artifacts/{id}", tag = "controllers", operation_id = "get_artifact",
    params(ClaimPath, ("id" = BlobId, Path, description = "The artifact's id."),
        ("from" = Option<String>, Query, description = "`latest-green`: of the newest green build of the branch."),
        ("branch" = Option<String>, Query, description = "Of this branch, with `from=latest-green`."),
        ("fallback" = Option<Vec<String>>, Query, description = "Beginnings of ids that are good enough, the best first."),
    ),
    responses(
        (status = 200, description = "Its bytes.", content(
            (Vec<u8> = "application/octet-stream"), (Vec<u8> = "application/zstd"),
        )),
        (status = 307, description = "Where they are: an address that is good for a while."),
        (status = 404, description = "There is no such artifact, or the server has no store: `urn:albatros:no-store`."),
        Session,
    ),
    security(("session" = [])),)]
pub(super) async fn give(room: &Room<'_>, kind: BlobKind, id: &BlobId, query: &str) -> Result<Response, Refusal> {
    let chosen = whole(room, kind, id, query).await?;
    if kind == BlobKind::Cache {
        touch(room, &chosen).await;
    }
    let mut response = match room.store.sign(Signed::Get { name: None }, &chosen.object, GOOD_FOR).await? {
        Some(url) => {
            let location = HeaderValue::from_str(url.as_str());
            let location = location.map_err(|_never| Refusal::later("the store's address cannot be sent"))?;
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response()
        }
        None => bytes(room, &chosen, kind, id).await?,
    };
    put_label(&mut response, chosen);
    Ok(response)
}

/// What an artifact is, without its bytes
#[utoipa::path(head, path = "/session/{claim}/artifacts/{id}", tag = "controllers", operation_id = "head_artifact",
    params(ClaimPath, ("id" = BlobId, Path, description = "The artifact's id."),
        ("from" = Option<String>, Query, description = "`latest-green`: of the newest green build of the branch."),
        ("branch" = Option<String>, Query, description = "Of this branch, with `from=latest-green`."),
        ("fallback" = Option<Vec<String>>, Query, description = "Beginnings of ids that are good enough, the best first."),
    ),
    responses((status = 200, description = "It is there; `x-albatros-…` headers say what it is."),
        (status = 404, description = "There is no such artifact, or the server has no store: `urn:albatros:no-store`."),
        Session,
    ),
    security(("session" = [])),)]
pub(super) async fn label(room: &Room<'_>, kind: BlobKind, id: &BlobId, query: &str) -> Result<Response, Refusal> {
    let chosen = whole(room, kind, id, query).await?;
    let mut response = StatusCode::OK.into_response();
    put_label(&mut response, chosen);
    Ok(response)
}

/// The artifacts of a build
#[utoipa::path(get, path = "/session/{claim}/artifacts", tag = "controllers", operation_id = "list_own_artifacts",
    params(ClaimPath,
        ("from" = Option<String>, Query, description = "`latest-green`: of the newest green build of the branch."),
        ("branch" = Option<String>, Query, description = "Of this branch, with `from=latest-green`."),
    ),
    responses(
        (status = 200, description = "Its artifacts.", body = Vec<Manifest>),
        (status = 404, description = "There is no such build, or the server has no store: `urn:albatros:no-store`."),
        Session,
    ),
    security(("session" = [])),)]
pub(super) async fn list(room: &Room<'_>, query: &str) -> Result<Response, Refusal> {
    let Some(build) = choose::build(room, &Asked::of(query)?).await? else {
        return Err(Refusal::not_found("there is no green build of the ref, or it was not kept"));
    };
    let listed = shelf::artifacts(room.store, &build, room.app.settings.blobs.artifacts).await?;
    Ok(Json(listed).into_response())
}

/// A blob whose bytes are there, as many as there should be.
async fn whole(room: &Room<'_>, kind: BlobKind, id: &BlobId, query: &str) -> Result<Chosen, Refusal> {
    let none = || Refusal::not_found(&format!("there is no {} {id}", one_of(kind)));
    let chosen = choose::choose(room, kind, id, query).await?.ok_or_else(none)?;
    let size = chosen.found.kept.manifest.size;
    match room.store.head(&chosen.object).await? {
        Some(meta) if meta.size == size => Ok(chosen),
        Some(_) => Err(Refusal::not_found(&format!("the {} was changed after it was kept", one_of(kind)))),
        None => Err(none()),
    }
}

async fn bytes(room: &Room<'_>, chosen: &Chosen, kind: BlobKind, id: &BlobId) -> Result<Response, Refusal> {
    let busy = || Refusal::later("busy: too many downloads pass through here at once");
    let place = room.app.blobs.streams.down().ok_or_else(busy)?;
    let none = || Refusal::not_found(&format!("there is no {} {id}", one_of(kind)));
    let object = room.store.get(&chosen.object).await?.ok_or_else(none)?;
    let manifest = &chosen.found.kept.manifest;
    let passed = room.app.metrics.passing(kind, Direction::Out);
    let stream = object.bytes.map(move |piece| {
        let _place = &place;
        if let Ok(bytes) = &piece {
            passed.inc_by(bytes.len() as u64);
        }
        piece
    });
    let mut response = Body::from_stream(stream).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(object.meta.size));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(manifest.packing.media_type()));
    Ok(response)
}

fn put_label(response: &mut Response, chosen: Chosen) {
    for (name, value) in Label::from(chosen.found.kept.manifest).to_headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// A cache that is used stays: its manifest is written again as it is, once a day. By builds that may write it alone:
/// what is trusted lasts as long as trusted builds use it.
async fn touch(room: &Room<'_>, chosen: &Chosen) {
    if chosen.manifest != room.manifest(BlobKind::Cache, &chosen.found.kept.manifest.id) {
        return;
    }
    let age = Timestamp::now().duration_since(chosen.found.written);
    if age.unsigned_abs() < USED_WITHIN || age.is_negative() {
        return;
    }
    if let Err(error) = room.store.put(&chosen.manifest, chosen.found.bytes.clone()).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(claim = room.claim.as_str(), error, "the use of a cache could not be written down");
    }
}
