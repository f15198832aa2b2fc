//! `POST /session/{claim}/{artifacts|caches}/{id}/commit`: what was sent becomes a blob, if it is what it should be.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use utoipa::ToSchema;

use super::begin::{check_count, there, too_large};
use super::one_of;
use super::room::Room;
use crate::dispatcher::openapi::{ClaimPath, Sending, Session};
use crate::dispatcher::session::refusal::Refusal;
use crate::domain::blob::{BlobKind, Kept, Manifest, Packing};
use crate::domain::id::{BlobId, UploadId};
use crate::domain::label::NAME_MOST;
use crate::domain::place::Key;

/// What a controller says of the blob that it has sent.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = CommitUpload)]
pub(super) struct Told {
    upload: UploadId,
    size: u64,
    sha256: String,
    packing: Packing,
    #[serde(default)]
    name: Option<String>,
}

/// Makes an artifact of bytes that have arrived
#[utoipa::path(post, path = "/session/{claim}/artifacts/{id}/commit", tag = "controllers", operation_id = "commit_artifact",
    params(ClaimPath, ("id" = BlobId, Path, description = "The artifact's id.")), request_body = Told,
    responses(
        (status = 200, description = "It was one.", body = Manifest),
        (status = 201, description = "It is one.", body = Manifest),
        (status = 404, description = "The server has no store: `urn:albatros:no-store`."),
        (status = 409, description = "There is another artifact of this id."),
        (status = 422, description = "What has arrived is not what was sent."),
        (status = 507, description = "The store is full."),
        Session,
        Sending,
    ),
    security(("session" = [])),)]
pub(super) async fn commit(room: &Room<'_>, kind: BlobKind, id: &BlobId, told: Told) -> Result<Response, Refusal> {
    check_words(kind, &told)?;
    let manifest = room.manifest(kind, id);
    if let Some(kept) = there(room, kind, &manifest).await? {
        return same(kind, kept, &told);
    }
    let object = room.object(&told.upload);
    if let Err(refusal) = check_object(room, kind, &object, &told).await {
        if !refusal.passes() {
            take_back(room, &object, &told.upload).await;
        }
        return Err(refusal);
    }
    check_count(room, kind).await?;
    let kept = Kept {
        manifest: Manifest {
            id: id.clone(),
            packing: told.packing,
            name: told.name.clone(),
            size: told.size,
            sha256: told.sha256.clone(),
            created: Timestamp::now(),
        },
        object: told.upload.clone(),
    };
    let bytes = serde_json::to_vec(&kept).map_err(|_never| Refusal::later("the manifest cannot be written down"))?;
    if !room.store.put_new(&manifest, bytes).await? {
        let other = there(room, kind, &manifest).await?;
        return match other.map(|kept| same(kind, kept, &told)) {
            Some(Ok(response)) => Ok(response),
            Some(Err(refusal)) => {
                take_back(room, &object, &told.upload).await;
                Err(refusal)
            }
            None => Err(Refusal::later("another upload of this name was here and is gone: try again")),
        };
    }
    room.app.blobs.sums.forget(&told.upload);
    let (claim, repo, size) = (room.claim.as_str(), &room.record.canonical, told.size);
    tracing::info!(claim, repo, kind = one_of(kind), id = id.as_str(), size, "kept");
    Ok((StatusCode::CREATED, Json(kept.manifest)).into_response())
}

fn check_words(kind: BlobKind, told: &Told) -> Result<(), Refusal> {
    if told.upload.kind() != kind {
        return Err(Refusal::malformed(&format!("upload: it was not begun for {}s", one_of(kind))));
    }
    let is_sum = told.sha256.len() == 64 && told.sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_sum {
        return Err(Refusal::malformed("sha256: expected 64 lower-case hexadecimal digits"));
    }
    let is_name = |name: &String| {
        (1..=NAME_MOST).contains(&name.len())
            && !matches!(name.as_str(), "." | "..")
            && !name.chars().any(|c| c == '/' || c.is_control())
    };
    if told.packing == Packing::Archive && told.name.is_some() || !told.name.as_ref().is_none_or(is_name) {
        return Err(Refusal::malformed("name: expected the name of the single file, without a directory"));
    }
    Ok(())
}

/// The same commit again is answered again; its first answer may have been lost.
fn same(kind: BlobKind, kept: Kept, told: &Told) -> Result<Response, Refusal> {
    if kept.object == told.upload && kept.manifest.sha256 == told.sha256 {
        return Ok((StatusCode::OK, Json(kept.manifest)).into_response());
    }
    Err(Refusal::conflict(&format!("there is another {} of this name: it is written once", one_of(kind))))
}

/// That the bytes are there, as many as were told, and the ones that were meant.
async fn check_object(room: &Room<'_>, kind: BlobKind, object: &Key, told: &Told) -> Result<(), Refusal> {
    let wrong = |sentence: String| Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, sentence);
    let Some(meta) = room.store.head(object).await? else {
        return Err(wrong("the bytes of this upload are not there: begin and send it again".to_owned()));
    };
    let most = room.app.settings.blobs.most(kind);
    if meta.size > most {
        return Err(too_large(kind, meta.size, most));
    }
    if meta.size != told.size {
        return Err(wrong(format!("{} bytes have arrived, and {} were meant: send it again", meta.size, told.size)));
    }
    let passed = room.app.blobs.sums.of(&told.upload);
    let sum = match passed {
        Some(sum) => Some(sum),
        // They went to the bucket by themselves: readers compare.
        None if room.store.signs() => None,
        None => Some(sum_of(room, object).await?),
    };
    if sum.is_some_and(|sum| sum != told.sha256) {
        return Err(wrong("the bytes that have arrived have another SHA-256: send it again".to_owned()));
    }
    Ok(())
}

/// They passed through another replica, or before a restart.
async fn sum_of(room: &Room<'_>, object: &Key) -> Result<String, Refusal> {
    let busy = || Refusal::later("busy: too many uploads pass through here at once");
    let _place = room.app.blobs.streams.up().ok_or_else(busy)?;
    let Some(mut found) = room.store.get(object).await? else {
        return Err(Refusal::later("the bytes were there and are gone: try again"));
    };
    let mut sum = Sha256::new();
    while let Some(bytes) = found.bytes.next().await {
        sum.update(bytes?);
    }
    Ok(hex::encode(sum.finalize()))
}

async fn take_back(room: &Room<'_>, object: &Key, upload: &UploadId) {
    room.app.blobs.sums.forget(upload);
    if let Err(error) = room.store.delete(object).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(claim = room.claim.as_str(), error, "a refused upload stays until it is swept");
    }
}
