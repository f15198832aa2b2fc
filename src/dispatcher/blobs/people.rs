//! `GET /builds/{builder}/{child}/artifacts…`: what a build has left, for whoever may see its page.
//!
//! A build's files are a stranger's: they are for saving, and no browser shows one as a page of this server.

use std::io;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::member::{self, MemberError, Pieces};
use super::shelf;
use crate::api::store::{Object, Signed, Store, StoreError};
use crate::dispatcher::access::Credentials;
use crate::dispatcher::answer::{Answer, Problem};
use crate::dispatcher::builds::{build_id, readable};
use crate::dispatcher::form::Form;
use crate::dispatcher::history::home_of_known;
use crate::dispatcher::hook::registry_down;
use crate::dispatcher::metrics::Direction;
use crate::dispatcher::openapi::{BuildPath, Reading};
use crate::dispatcher::{App, SharedApp};
use crate::domain::blob::{BlobKind, Kept, Manifest, Packing};
use crate::domain::id::BlobId;
use crate::domain::label::Label;
use crate::domain::place::{BuildPlace, Key};

/// A browser follows at once.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// Pieces of an archive on their way to its reader, and of a file on its way out.
const PIECES: usize = 4;

type Build = (String, String);

/// What a build has left
#[utoipa::path(get, path = "/builds/{builder}/{child}/artifacts", tag = "people", operation_id = "list_artifacts", params(BuildPath),
    responses(
        (status = 200, description = "Its artifacts; as text one a line: id, bytes, SHA-256 and name.",
            content((Vec<Manifest> = "application/json"), (String = "text/plain"))),
        Reading,
    ),
    security((), ("bearer" = []), ("token" = []), ("key" = [])),)]
pub(crate) async fn list(
    State(app): State<SharedApp>,
    Path(build): Path<Build>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (store, place) = place(&app, build, &credentials).await?;
    let listed = shelf::artifacts(store, &place, app.settings.blobs.artifacts).await?;
    if Form::of(&headers) == Form::Json {
        return Ok(Json(listed).into_response());
    }
    let line = |one: &Manifest| {
        let name = one.name.as_deref().unwrap_or("(archive)");
        format!("{}\t{}\t{}\t{}", one.id, one.size, one.sha256, name.escape_debug())
    };
    let lines = listed.iter().map(line).collect();
    Ok(Answer { status: StatusCode::OK, lines, object: serde_json::Value::Null }.into_form(&headers))
}

/// An artifact of a build
///
/// A single file, or an archive: tar, compressed with zstd. Headers `x-albatros-…` say what it is.
#[utoipa::path(get, path = "/builds/{builder}/{child}/artifacts/{id}", tag = "people", operation_id = "download_artifact", params(
        BuildPath, ("id" = BlobId, Path, description = "The artifact."),
    ),
    responses(
        (status = 200, description = "Its bytes, for saving.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 307, description = "Where its bytes are: an address that is good for a minute."),
        Reading,
    ),
    security((), ("bearer" = []), ("token" = []), ("key" = [])),)]
pub(crate) async fn one(
    State(app): State<SharedApp>,
    Path((builder, child, id)): Path<(String, String, String)>,
    credentials: Credentials,
) -> Result<Response, Problem> {
    let (store, place) = place(&app, (builder, child), &credentials).await?;
    let (kept, object) = find(store, &place, &id).await?;
    let name = download_name(&kept);
    if let Some(url) = store.sign(Signed::Get { name: Some(name.clone()) }, &object, GOOD_FOR).await? {
        let location = HeaderValue::from_str(url.as_str());
        let location = location.map_err(|_never| Problem::unavailable("the store's address cannot be sent"))?;
        let response = (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response();
        return Ok(labelled(response, kept));
    }
    let busy = || Problem::unavailable("busy: too many downloads pass through here at once; try again");
    let turn = app.blobs.streams.down().ok_or_else(busy)?;
    let Object { meta, bytes } = store.get(&object).await?.ok_or_else(gone)?;
    let passed = app.metrics.passing(BlobKind::Artifact, Direction::Out);
    let body = Body::from_stream(bytes.map(move |piece| {
        let _turn = &turn;
        if let Ok(bytes) = &piece {
            passed.inc_by(bytes.len() as u64);
        }
        piece
    }));
    Ok(labelled(saved(body, &name, meta.size), kept))
}

/// One file out of an archive
#[utoipa::path(get, path = "/builds/{builder}/{child}/artifacts/{id}/{path}", tag = "people", operation_id = "download_file", params(
        BuildPath,
        ("id" = BlobId, Path, description = "The artifact."),
        ("path" = String, Path, description = "The file in it; its slashes stand as they are."),
    ),
    responses(
        (status = 200, description = "Its bytes, for saving.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 422, description = "The archive is damaged, or too large to be looked through."),
        Reading,
    ),
    security((), ("bearer" = []), ("token" = []), ("key" = [])),)]
pub(crate) async fn file(
    State(app): State<SharedApp>,
    Path((builder, child, id, path)): Path<(String, String, String, String)>,
    credentials: Credentials,
) -> Result<Response, Problem> {
    let (store, place) = place(&app, (builder, child), &credentials).await?;
    let odd = || Problem::bad_request("a path within the archive is needed: names with / between them, and no .. or .");
    let wanted = member::path(&path).ok_or_else(odd)?;
    let (kept, object) = find(store, &place, &id).await?;
    if kept.manifest.packing != Packing::Archive {
        return Err(Problem::new(StatusCode::NOT_FOUND, "this artifact is a single file, not an archive"));
    }
    let busy = || Problem::unavailable("busy: too many archives are looked through at once; try again");
    let turn = app.blobs.streams.unpacked().ok_or_else(busy)?;
    let object = store.get(&object).await?.ok_or_else(gone)?;
    let (found_to, found) = oneshot::channel();
    let (to, bytes) = mpsc::channel(PIECES);
    let pieces = pieces(object, app.shutdown.clone());
    tokio::task::spawn_blocking(move || {
        let _turn = turn;
        member::search(pieces, &wanted, found_to, &to);
    });
    let size = found.await.map_err(|_lost| Problem::unavailable("the archive could not be looked through"))??;
    let passed = app.metrics.passing(BlobKind::Artifact, Direction::Out);
    let stream = futures_util::stream::unfold((bytes, passed), |(mut bytes, passed)| async move {
        let piece = bytes.recv().await?;
        if let Ok(bytes) = &piece {
            passed.inc_by(bytes.len() as u64);
        }
        Some((piece, (bytes, passed)))
    });
    Ok(saved(Body::from_stream(stream), &safe_name(path.rsplit('/').next().unwrap_or_default()), size))
}

/// The place of a build that this caller may see.
async fn place<'a>(app: &'a App, build: Build, credentials: &Credentials) -> Result<(&'a Store, BuildPlace), Problem> {
    let known = readable(app, &build_id(build)?, credentials).await?;
    let none = || Problem::new(StatusCode::NOT_FOUND, "this server keeps nothing: it has no store (ALBATROS_STORE)");
    let store = app.store.as_ref().ok_or_else(none)?;
    let home = home_of_known(app, &known).await.map_err(|error| registry_down(&error))?;
    let home = home.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "nothing is kept of this build"))?;
    Ok((store, home.place()))
}

async fn find(store: &Store, place: &BuildPlace, id: &str) -> Result<(Kept, Key), Problem> {
    let none = || Problem::new(StatusCode::NOT_FOUND, "the build has no such artifact, or it is not kept any more");
    let id: BlobId = id.parse().map_err(|_no_id| none())?;
    let kept = shelf::find(store, &place.artifact(&id)).await?.ok_or_else(none)?.kept;
    let object = place.object(&kept.object);
    let meta = store.head(&object).await?.filter(|meta| meta.size == kept.manifest.size);
    meta.ok_or_else(gone)?;
    Ok((kept, object))
}

fn gone() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "the artifact's bytes are not there any more")
}

/// The bytes of an archive, for a thread; they end with the server, and when nobody wants them.
fn pieces(mut object: Object, shutdown: CancellationToken) -> Pieces {
    let (to, from) = mpsc::channel(PIECES);
    tokio::spawn(shutdown.run_until_cancelled_owned(async move {
        while let Some(piece) = object.bytes.next().await {
            let (piece, last) = match piece {
                Ok(piece) => (Ok(piece), false),
                Err(error) => (Err(io::Error::other(error)), true),
            };
            if to.send(piece).await.is_err() || last {
                return;
            }
        }
    }));
    Pieces::new(from)
}

/// For saving, never for showing.
fn saved(body: Body, name: &str, size: u64) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox"));
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    headers.insert(CONTENT_DISPOSITION, disposition.unwrap_or(HeaderValue::from_static("attachment")));
    response
}

fn labelled(mut response: Response, kept: Kept) -> Response {
    for (name, value) in Label::from(kept.manifest).to_headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn download_name(kept: &Kept) -> String {
    match (&kept.manifest.packing, &kept.manifest.name) {
        (Packing::Archive, _) => format!("{}.tar.zst", kept.manifest.id),
        (Packing::File, Some(name)) => safe_name(name),
        (Packing::File, None) => kept.manifest.id.to_string(),
    }
}

/// Letters, digits and little else: it stands in a header, and becomes a file on somebody's machine.
fn safe_name(name: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' };
    let name: String = name.chars().map(fits).take(128).collect();
    let name = name.trim_start_matches(['.', '-']);
    if name.is_empty() { "file".to_owned() } else { name.to_owned() }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(error = &error as &dyn std::error::Error, "the store was not read");
        Self::unavailable(format!("{error}; try again"))
    }
}

impl From<MemberError> for Problem {
    fn from(error: MemberError) -> Self {
        let status = match error {
            MemberError::Missing | MemberError::NoFile => StatusCode::NOT_FOUND,
            MemberError::TooLarge | MemberError::Damaged(_) => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, error.to_string())
    }
}
