//! `POST /session/{claim}/{artifacts|caches}/{id}`: where the bytes of a blob go.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::one_of;
use super::room::Room;
use crate::api::store::Signed;
use crate::dispatcher::blobs::shelf;
use crate::dispatcher::openapi::{ClaimPath, Sending, Session};
use crate::dispatcher::session::refusal::Refusal;
use crate::domain::blob::{BlobKind, Kept};
use crate::domain::id::{BlobId, UploadId};
use crate::domain::place::Key;
use crate::domain::size::Bytes;

/// An upload has begun by then; it may go on for longer.
const GOOD_FOR: Duration = Duration::from_secs(15 * 60);

/// What a controller says of a blob that it will send.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = BeginUpload)]
pub(super) struct Ask {
    /// Bytes, where they are known.
    #[serde(default)]
    size: Option<u64>,
}

/// Where bytes go.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadBegun)]
struct Begun {
    /// To be said at the commit.
    upload: UploadId,
    /// Where they are put; none: to `/session/{claim}/uploads/{upload}`.
    #[schema(value_type = Option<String>, format = "uri")]
    url: Option<Url>,
    /// So many at most.
    most: u64,
}

/// Begins an artifact: where its bytes go
#[utoipa::path(post, path = "/session/{claim}/artifacts/{id}", tag = "controllers", operation_id = "begin_artifact",
    params(ClaimPath, ("id" = BlobId, Path, description = "The artifact's id.")), request_body = Ask,
    responses(
        (status = 201, description = "Where its bytes go.", body = Begun),
        (status = 404, description = "The server has no store: `urn:albatros:no-store`."),
        (status = 409, description = "There is an artifact of this id already."),
        (status = 422, description = "The build has too many."),
        (status = 507, description = "The store is full."),
        Session,
        Sending,
    ),
    security(("session" = [])),)]
pub(super) async fn begin(room: &Room<'_>, kind: BlobKind, id: &BlobId, ask: &Ask) -> Result<Response, Refusal> {
    let most = room.app.settings.blobs.most(kind);
    if let Some(size) = ask.size.filter(|size| *size > most) {
        return Err(too_large(kind, size, most));
    }
    let manifest = room.manifest(kind, id);
    if there(room, kind, &manifest).await?.is_some() {
        return Err(Refusal::conflict(&format!("there is {} {id} already: it is written once", article(kind))));
    }
    check_count(room, kind).await?;
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|_none| Refusal::later("the system gives no random bytes"))?;
    let upload = UploadId::new(kind, random);
    let url = room.store.sign(Signed::Put, &room.object(&upload), GOOD_FOR).await?;
    Ok((StatusCode::CREATED, Json(Begun { upload, url, most })).into_response())
}

/// The blob that is there. A manifest whose bytes are gone is none, and makes room.
pub(super) async fn there(room: &Room<'_>, kind: BlobKind, manifest: &Key) -> Result<Option<Kept>, Refusal> {
    let Some(found) = shelf::find(room.store, manifest).await? else { return Ok(None) };
    if room.store.head(&room.object(&found.kept.object)).await?.is_some() {
        return Ok(Some(found.kept));
    }
    tracing::warn!(
        claim = room.claim.as_str(),
        id = found.kept.manifest.id.as_str(),
        "{} without its bytes",
        article(kind)
    );
    room.store.delete(manifest).await?;
    Ok(None)
}

/// That there is room for one more.
pub(super) async fn check_count(room: &Room<'_>, kind: BlobKind) -> Result<(), Refusal> {
    let count = room.app.settings.blobs.count(kind);
    if shelf::count(room.store, &room.folder(kind), count).await? < count {
        return Ok(());
    }
    let sentence = match kind {
        BlobKind::Artifact => {
            format!("the build has {count} artifacts, and may have no more (ALBATROS_ARTIFACT_COUNT)")
        }
        BlobKind::Cache => {
            format!(
                "the repository has {count} caches, and may have no more before the unused ones go (ALBATROS_CACHE_COUNT)"
            )
        }
    };
    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, sentence))
}

pub(super) fn too_large(kind: BlobKind, size: u64, most: u64) -> Refusal {
    let setting = match kind {
        BlobKind::Artifact => "ALBATROS_ARTIFACT_LIMIT",
        BlobKind::Cache => "ALBATROS_CACHE_LIMIT",
    };
    let (size, most) = (Bytes::of(size), Bytes::of(most));
    let sentence = format!("the {} is of {size}, and may be of {most} at most ({setting})", one_of(kind));
    Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, sentence)
}

fn article(kind: BlobKind) -> &'static str {
    match kind {
        BlobKind::Artifact => "an artifact",
        BlobKind::Cache => "a cache",
    }
}
