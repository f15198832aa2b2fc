//! `PUT /v1/{artifacts|caches}/{id}`

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use super::super::upstream::refused;
use super::flow::{Broken, Flow, Through, watched};
use super::spool::{self, SpoolError};
use super::{Refusal, ask, labelled};
use crate::api::session::SessionError;
use crate::api::session::blobs::{Begun, Commit, Wanted};
use crate::controller::SharedApp;
use crate::controller::body::{content_type, discard};
use crate::controller::exchange::Pause;
use crate::controller::openapi::{Sending, Token, Undecided};
use crate::controller::upstream::Upstream;
use crate::domain::blob::{BlobKind, Manifest, Packing};
use crate::domain::id::BlobId;
use crate::domain::label::Label;

/// What has arrived whole is committed for so long, whatever becomes of serve.
const COMMIT_WITHIN: Duration = Duration::from_secs(180);
/// What goes to the disk first is this much at most, bytes.
const SPOOL_MOST: u64 = 5 << 30;
/// How long one of these waits for the other.
const SPOOL_PLACE_WITHIN: Duration = Duration::from_secs(300);

/// Keeps an artifact
#[utoipa::path(put, path = "/v1/artifacts/{id}", tag = "script", security(("script" = []), ("trusted" = [])), operation_id = "put_artifact", params(
        ("id" = BlobId, Path, description = "The artifact's id."),
        ("name" = Option<String>, Query, description = "What a single file is called.")),
    request_body(description = "An archive (tar in zstd), or any single file.",
        content((Vec<u8> = "application/zstd"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 201, description = "It is kept.", body = Manifest),
        (status = 200, description = "Of a cache: it was there; what is in it stays."),
        (status = 400, description = "The query cannot be read, or the body broke off."),
        (status = 404, description = "Nothing is kept: `urn:albatros:no-store`."),
        (status = 409, description = "There is one of this id already."),
        (status = 429, description = "Others are being moved: try again."),
        (status = 507, description = "There is no room."), Token, Undecided, Sending),)]
pub(super) async fn write(
    app: SharedApp,
    (kind, id): (BlobKind, &str),
    query: Option<String>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let started = start(&app, (kind, id), query.as_deref(), headers).await;
    match started {
        Ok(Start::Upload { upload, _place }) => {
            let manifest = upload.run(body).await?;
            Ok(labelled(StatusCode::CREATED, &Label::from(manifest.clone()), Json(manifest)))
        }
        // Who is still sending would not see the answer.
        Ok(Start::There(answer)) => {
            discard(body);
            Ok(answer)
        }
        Err(refusal) => {
            discard(body);
            Err(refusal)
        }
    }
}

/// What an upload begins with.
enum Start {
    /// It may be sent, as long as it has its place.
    Upload { upload: Box<Upload>, _place: OwnedSemaphorePermit },
    /// There is nothing to send.
    There(Response),
}

async fn start(
    app: &SharedApp,
    (kind, id): (BlobKind, &str),
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Start, Refusal> {
    let keeper = app.link().await?;
    let (id, name) = (ask::id(id)?, ask::name(query)?);
    let packing = Packing::of_media_type(&content_type(headers));
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let size = announced.and_then(|text| text.parse().ok());
    let place = app.blobs.place().await?;
    let begun = match keeper.server.begin_blob(keeper.session(), (kind, &id), size).await {
        Ok(begun) => begun,
        Err(error) if is_there(&error) && kind == BlobKind::Cache => return there(keeper, &id).await.map(Start::There),
        Err(error) => return Err(refused(&error)),
    };
    if size.is_some_and(|size| size > begun.most) {
        return Err(Refusal::too_large(format!("{id} is larger than {} bytes", begun.most)));
    }
    let upload = Box::new(Upload { app: Arc::clone(app), id, kind, packing, name, size, begun });
    Ok(Start::Upload { upload, _place: place })
}

/// What was asked for, and what serve has said to it.
struct Upload {
    app: SharedApp,
    id: BlobId,
    kind: BlobKind,
    packing: Packing,
    name: Option<String>,
    size: Option<u64>,
    begun: Begun,
}

impl Upload {
    async fn run(self, body: Body) -> Result<Manifest, Refusal> {
        let keeper = self.app.link().await?;
        let flow = Arc::new(Flow::default());
        let through = if self.size.is_none() && self.begun.needs_size() {
            self.spooled(keeper, body, &flow).await?
        } else {
            let pieces = watched(body, self.begun.most, &flow);
            self.send(keeper, self.size, reqwest::Body::wrap_stream(pieces), &flow).await?
        };
        self.commit(keeper, &through).await
    }

    /// By way of the disk.
    async fn spooled(&self, keeper: &Upstream, body: Body, flow: &Arc<Flow>) -> Result<Through, Refusal> {
        let spools = Arc::clone(&self.app.blobs.spools);
        let _spool = match timeout(SPOOL_PLACE_WITHIN, spools.acquire_owned()).await {
            Ok(Ok(spool)) => spool,
            Ok(Err(_)) | Err(_) => return Err(Refusal::busy("other uploads of unknown size are under way: try again")),
        };
        let most = self.begun.most.min(SPOOL_MOST);
        let taking = spool::take(self.app.blobs.folder.as_deref(), watched(body, most, flow));
        let file = tokio::select! {
            taken = taking => taken.map_err(|error| match error {
                SpoolError::Source => self.broken(flow),
                SpoolError::Disk(_) => {
                    tracing::error!(%error, "an upload of unknown size cannot wait on the disk");
                    Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "there is no room for an upload of unknown size")
                }
            })?,
            () = flow.still() => return Err(still()),
        };
        let (whole, again) = (flow.through(), Arc::new(Flow::default()));
        let pieces = watched(spool::body(file), most, &again);
        let sent = self.send(keeper, Some(whole.size), reqwest::Body::wrap_stream(pieces), &again).await?;
        if sent == whole { Ok(sent) } else { Err(Refusal::waiting("what waited on the disk has changed: try again")) }
    }

    async fn send(
        &self,
        keeper: &Upstream,
        size: Option<u64>,
        body: reqwest::Body,
        flow: &Arc<Flow>,
    ) -> Result<Through, Refusal> {
        let sent = tokio::select! {
            sent = keeper.server.send_blob(keeper.session(), &self.begun, size, body) => sent,
            () = flow.still() => return Err(still()),
        };
        match (sent, flow.broken()) {
            (_, Some(_)) => Err(self.broken(flow)),
            (Ok(()), None) => Ok(flow.through()),
            (Err(error), None) => Err(refused(&error)),
        }
    }

    fn broken(&self, flow: &Flow) -> Refusal {
        match flow.broken() {
            Some(Broken::TooLarge(most)) => Refusal::too_large(format!("{} is larger than {most} bytes", self.id)),
            Some(Broken::Cut) | None => {
                Refusal::new(StatusCode::BAD_REQUEST, "the body ended before its end: nothing was kept")
            }
        }
    }

    /// Again and again: the bytes are there, and it is one small question.
    async fn commit(&self, keeper: &Upstream, through: &Through) -> Result<Manifest, Refusal> {
        let commit = Commit {
            upload: &self.begun.upload,
            size: through.size,
            sha256: &through.sha256,
            packing: self.packing,
            name: self.name.as_deref().filter(|_| self.packing == Packing::File),
        };
        let (mut pause, end) = (Pause::default(), Instant::now() + COMMIT_WITHIN);
        loop {
            let asked = keeper.server.commit_blob(keeper.session(), (self.kind, &self.id), &commit).await;
            match asked {
                Ok(manifest) => return Ok(manifest),
                Err(error) if may_pass(&error) && Instant::now() < end => {
                    tracing::warn!(%error, id = %self.id, "what has arrived could not be committed yet");
                    sleep(pause.next(None)).await;
                }
                // What arrived there is not what was sent: from the start, then.
                Err(error) if error.status().is_some_and(|status| status.as_u16() == 422) => {
                    return Err(Refusal::waiting(format!("{error}")));
                }
                Err(error) => return Err(refused(&error)),
            }
        }
    }
}

/// There is a cache of that key: what is in it stays.
async fn there(keeper: &Upstream, id: &BlobId) -> Result<Response, Refusal> {
    let label = keeper.server.blob_label(keeper.session(), (BlobKind::Cache, id), &Wanted::default()).await;
    let label = label.map_err(|error| refused(&error))?;
    Ok(labelled(StatusCode::OK, &label, ()))
}

fn is_there(error: &SessionError) -> bool {
    error.status().is_some_and(|status| status.as_u16() == 409)
}

fn may_pass(error: &SessionError) -> bool {
    error.status().is_none_or(|status| status.is_server_error() || matches!(status.as_u16(), 408 | 429))
}

fn still() -> Refusal {
    Refusal::waiting("nothing of it moved for minutes: nothing was kept, try again")
}
