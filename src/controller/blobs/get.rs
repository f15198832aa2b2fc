//! `GET|HEAD /v1/{artifacts|caches}/{id}`, `GET /v1/artifacts`

use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::super::upstream::refused;
use super::{Refusal, ask, labelled};
use crate::controller::access::Either;
use crate::controller::openapi::{Token, Undecided};
use crate::domain::blob::{BlobKind, Manifest};
use crate::domain::id::BlobId;

/// No byte comes for so long: the answer is broken off, and whoever reads it tries again.
const STILL: Duration = Duration::from_secs(60);

/// The artifacts of the build, or of an earlier one
#[utoipa::path(get, path = "/v1/artifacts", tag = "script", security(("script" = []), ("trusted" = [])), operation_id = "list_artifacts", params(
        ("from" = Option<String>, Query, description = "`latest-green`: of the newest green build of the branch."),
        ("branch" = Option<String>, Query, description = "Of this branch, with `from=latest-green`.")),
    responses((status = 200, description = "The artifacts.", body = Vec<Manifest>), (status = 400, description = "The query cannot be read."),
        (status = 404, description = "There is no such build, or nothing is kept: `urn:albatros:no-store`."), Token, Undecided),)]
pub(in crate::controller) async fn list(
    Either { app, .. }: Either,
    RawQuery(query): RawQuery,
) -> Result<Json<Vec<Manifest>>, Refusal> {
    let keeper = app.link().await?;
    let wanted = ask::wanted(BlobKind::Artifact, query.as_deref())?;
    let listed = keeper.server.artifacts(keeper.session(), &wanted).await;
    listed.map(Json).map_err(|error| refused(&error))
}

/// What an artifact is, without its bytes
#[utoipa::path(head, path = "/v1/artifacts/{id}", tag = "script", security(("script" = []), ("trusted" = [])), operation_id = "head_artifact",
    params(
        ("id" = BlobId, Path, description = "The artifact's id."),
        ("from" = Option<String>, Query, description = "`latest-green`: of the newest green build of the branch."),
        ("branch" = Option<String>, Query, description = "Of this branch, with `from=latest-green`."),
        ("fallback" = Option<Vec<String>>, Query, description = "Beginnings of ids that are good enough, the best first.")),
    responses((status = 200, description = "It is there; `x-albatros-…` headers say what it is."),
        (status = 400, description = "The query cannot be read."),
        (status = 404, description = "There is no such artifact, or nothing is kept: `urn:albatros:no-store`."),
        Token, Undecided),)]
pub(super) async fn head(
    Either { app, .. }: Either,
    (kind, id): (BlobKind, &str),
    query: Option<String>,
) -> Result<Response, Refusal> {
    let keeper = app.link().await?;
    let (id, wanted) = (ask::id(id)?, ask::wanted(kind, query.as_deref())?);
    let label = keeper.server.blob_label(keeper.session(), (kind, &id), &wanted).await;
    let label = label.map_err(|error| refused(&error))?;
    let mut response = labelled(StatusCode::OK, &label, ());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(label.packing.media_type()));
    Ok(response)
}

/// An artifact
#[utoipa::path(get, path = "/v1/artifacts/{id}", tag = "script", security(("script" = []), ("trusted" = [])), operation_id = "get_artifact",
    params(
        ("id" = BlobId, Path, description = "The artifact's id."),
        ("from" = Option<String>, Query, description = "`latest-green`: of the newest green build of the branch."),
        ("branch" = Option<String>, Query, description = "Of this branch, with `from=latest-green`."),
        ("fallback" = Option<Vec<String>>, Query, description = "Beginnings of ids that are good enough, the best first.")),
    responses((status = 200, description = "Its bytes; `x-albatros-…` headers say what it is.", content(
            (Vec<u8> = "application/octet-stream"), (Vec<u8> = "application/zstd"))),
        (status = 400, description = "The query cannot be read."),
        (status = 404, description = "There is no such artifact, or nothing is kept: `urn:albatros:no-store`."),
        (status = 429, description = "Others are being moved: try again."), Token, Undecided),)]
pub(super) async fn read(
    Either { app, .. }: Either,
    (kind, id): (BlobKind, &str),
    query: Option<String>,
) -> Result<Response, Refusal> {
    let keeper = app.link().await?;
    let (id, wanted) = (ask::id(id)?, ask::wanted(kind, query.as_deref())?);
    let place = app.blobs.place().await?;
    let found = keeper.server.blob(keeper.session(), (kind, &id), &wanted).await;
    let (label, bytes) = found.map_err(|error| refused(&error))?;
    let mut response = labelled(StatusCode::OK, &label, Body::from_stream(pieces(bytes, place)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(label.packing.media_type()));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(label.size));
    Ok(response)
}

/// What comes from serve; where that breaks off, this does.
fn pieces(from: reqwest::Response, place: OwnedSemaphorePermit) -> impl Stream<Item = io::Result<Bytes>> + Send {
    unfold(Some((from, place)), |state| async move {
        let (mut from, place) = state?;
        match timeout(STILL, from.chunk()).await {
            Ok(Ok(Some(piece))) => Some((Ok(piece), Some((from, place)))),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                tracing::warn!(error = %error.without_url(), "a blob broke off on its way");
                Some((Err(io::Error::other("it broke off")), None))
            }
            Err(_elapsed) => {
                tracing::warn!("a blob stood still on its way");
                Some((Err(io::Error::other("it stood still")), None))
            }
        }
    })
}
