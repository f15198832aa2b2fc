//! `PUT /session/{claim}/uploads/{upload}`: the bytes of a blob, where they pass through here.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use super::begin::too_large;
use super::room::Room;
use crate::api::store::Upload;
use crate::dispatcher::SharedApp;
use crate::dispatcher::body::linger;
use crate::dispatcher::metrics::Direction;
use crate::dispatcher::openapi::{ClaimPath, Sending, Session};
use crate::dispatcher::session::bearer::Bearer;
use crate::dispatcher::session::refusal::Refusal;
use crate::domain::blob::BlobKind;
use crate::domain::id::UploadId;

/// A sender of whom nothing comes for so long is gone; its upload leaves nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// Takes the bytes of an artifact or a cache, where they pass through here
#[utoipa::path(put, path = "/session/{claim}/uploads/{upload}", tag = "controllers", operation_id = "put_upload",
    params(ClaimPath, ("upload" = UploadId, Path, description = "What `begin` has said.")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 204, description = "They have arrived."),
        (status = 404, description = "The server has no store: `urn:albatros:no-store`."),
        (status = 409, description = "This upload was sent before."),
        (status = 507, description = "The store is full."),
        Session,
        Sending,
    ),
    security(("session" = [])),)]
pub(crate) async fn upload(
    State(app): State<SharedApp>,
    Path((claim, upload)): Path<(String, String)>,
    Bearer(secret): Bearer,
    headers: HeaderMap,
    mut body: Body,
) -> Result<StatusCode, Refusal> {
    let room = Room::of(&app, &claim, &secret).await?;
    let upload: UploadId = upload.parse().map_err(|error| Refusal::malformed(&format!("{error}")))?;
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let taken = take(&room, &upload, announced, &mut body).await;
    if taken.as_ref().is_err_and(|refusal| refusal.status != StatusCode::REQUEST_TIMEOUT) {
        linger(body);
    }
    taken.inspect_err(|refusal| app.sessions.unserved(&room.claim, refusal))
}

async fn take(
    room: &Room<'_>,
    upload: &UploadId,
    announced: Option<u64>,
    body: &mut Body,
) -> Result<StatusCode, Refusal> {
    let (kind, key) = (upload.kind(), room.object(upload));
    let most = room.app.settings.blobs.most(kind);
    if let Some(size) = announced.filter(|size| *size > most) {
        return Err(too_large(kind, size, most));
    }
    let busy = || Refusal::later("busy: too many uploads pass through here at once");
    let _place = room.app.blobs.streams.up().ok_or_else(busy)?;
    let on_its_way = room.app.blobs.sums.begin(upload).ok_or_else(used)?;
    if room.store.head(&key).await?.is_some() {
        return Err(used());
    }
    let mut to = room.store.upload(&key).await?;
    match fill(&mut to, body, (kind, most)).await {
        Ok(sum) => {
            let bytes = to.written();
            to.finish().await?;
            room.app.metrics.passed(kind, Direction::In, bytes);
            on_its_way.passed(sum);
            Ok(StatusCode::NO_CONTENT)
        }
        Err(refusal) => {
            to.abort().await;
            Err(refusal)
        }
    }
}

fn used() -> Refusal {
    Refusal::conflict("this upload was sent before: begin another one")
}

/// All of a body into an upload; its SHA-256.
async fn fill(to: &mut Upload, body: &mut Body, (kind, most): (BlobKind, u64)) -> Result<String, Refusal> {
    let mut sum = Sha256::new();
    let silent = |_elapsed| Refusal::new(StatusCode::REQUEST_TIMEOUT, "no more bytes came: the upload was given up");
    while let Some(frame) = timeout(SILENCE, body.frame()).await.map_err(silent)? {
        let broken = |_cut| Refusal::malformed("the upload broke off");
        let Ok(bytes) = frame.map_err(broken)?.into_data() else { continue };
        if to.written() + bytes.len() as u64 > most {
            return Err(too_large(kind, to.written() + bytes.len() as u64, most));
        }
        sum.update(&bytes);
        to.write(&bytes).await?;
    }
    Ok(hex::encode(sum.finalize()))
}
