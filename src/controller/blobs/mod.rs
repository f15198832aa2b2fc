//! Artifacts and caches: bytes on their way between the build and where serve keeps them. Nothing of them stays here.
//!
//! ```text
//! PUT: begin at serve ─▶ stream through, counted and summed ─▶ commit, however often it must be asked
//! GET: label and bytes from serve, or from where it says ─▶ stream through
//! ```
//! A stream that breaks commits nothing, so there is never half a blob; whoever has the files tries again.

mod ask;
mod flow;
mod get;
mod put;
pub(super) mod saves;
mod spool;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{self, MethodRouter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use utoipa::OpenApi;

use super::access::{Door, Either};
use super::answer::Refusal;
use super::upstream::Upstream;
use crate::api::session::blobs::Session;
use crate::domain::blob::BlobKind;
use crate::domain::label::Label;

pub(super) use get::list;
pub(super) use saves::{Saves, declare, declared, done, due};

/// What these handlers are.
#[derive(OpenApi)]
#[openapi(paths(get::list, get::read, get::head, put::write))]
pub(super) struct Described;

/// Uploads and downloads at once; each costs two connections and some pieces of memory.
const PLACES: usize = 6;
/// How long one waits for the others.
const PLACE_WITHIN: Duration = Duration::from_secs(60);

/// What all uploads and downloads share.
#[derive(Debug)]
pub(crate) struct Blobs {
    places: Arc<Semaphore>,
    /// Bodies of unknown size on the disk, one at a time.
    spools: Arc<Semaphore>,
    /// `NOMAD_TASK_DIR`.
    folder: Option<PathBuf>,
}

impl Blobs {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { places: Arc::new(Semaphore::new(PLACES)), spools: Arc::new(Semaphore::new(1)), folder }
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = timeout(PLACE_WITHIN, Arc::clone(&self.places).acquire_owned()).await;
        match place {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Refusal::busy("other artifacts and caches are being moved: try again")),
        }
    }
}

impl Upstream {
    fn session(&self) -> Session<'_> {
        Session { claim: &self.claim, secret: &self.secret }
    }
}

/// `PUT|GET|HEAD /v1/{artifacts|caches}/{id}`
pub(super) fn one(kind: BlobKind) -> MethodRouter<Door> {
    type Asked = (Path<String>, RawQuery);
    let read =
        move |by: Either, (Path(id), RawQuery(query)): Asked| async move { get::read(by, (kind, &id), query).await };
    let head =
        move |by: Either, (Path(id), RawQuery(query)): Asked| async move { get::head(by, (kind, &id), query).await };
    let write = move |by: Either, (Path(id), RawQuery(query)): Asked, headers: HeaderMap, body: Body| async move {
        put::write(by.app, (kind, &id), query, &headers, body).await
    };
    routing::get(read).head(head).put(write)
}

/// An answer's headers, from a label.
fn labelled(status: StatusCode, label: &Label, body: impl IntoResponse) -> Response {
    let mut response = (status, body).into_response();
    for (name, value) in label.to_headers() {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
