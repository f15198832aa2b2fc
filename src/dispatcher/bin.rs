//! `GET /bin/linux-<arch>.tar.gz`: the program that is running here, so that builds have the server's version and
//! nobody has to publish an image.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;

use super::SharedApp;
use super::answer::Problem;
use super::archive::{Archive, ArchiveError};

const NOT_STATIC: &str = "this server's own program is not static, so builds cannot run it in any image: build it with \
    RUSTFLAGS=\"-C target-feature=+crt-static\" cargo build --release --target \"$(uname -m)-unknown-linux-gnu\", or \
    install albatros where builds run";

/// The program that is running here, for builds
///
/// Anybody may have it.
#[utoipa::path(get, path = "/bin/{name}", tag = "controllers", operation_id = "get_program", security(()),
    params(("name" = String, Path, description = "`linux-amd64.tar.gz`, or as the server's machine is.")),
    responses(
        (status = 200, description = "An archive with the executable `albatros`.", body = Vec<u8>, content_type = "application/gzip"),
        (status = 304, description = "It is the one that `If-None-Match` names."),
        (status = 400, description = "The address cannot be read."),
        (status = 404, description = "The server runs on another architecture."),
        (status = 501, description = "The server's own program is not static."),
        (status = 503, description = "It cannot be packed now."),
    ),)]
pub(crate) async fn bin(
    State(app): State<SharedApp>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let ours = name_of_ours();
    if name != ours {
        let sentence = format!("this server has only /bin/{ours}: on other nodes albatros must be installed");
        return Err(Problem::new(StatusCode::NOT_FOUND, sentence));
    }
    let archive = app.archives.of_this_program().await.map_err(refusal)?;
    Ok(answer(&archive, &headers))
}

/// The one name that there is, with Nomad's word for the architecture (`${attr.cpu.arch}`).
fn name_of_ours() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        same => same,
    };
    format!("linux-{arch}.tar.gz")
}

fn refusal(error: ArchiveError) -> Problem {
    match error {
        ArchiveError::NotStatic => Problem::new(StatusCode::NOT_IMPLEMENTED, NOT_STATIC),
        ArchiveError::Pack(source) => {
            tracing::error!(error = &source as &dyn std::error::Error, "the running program cannot be packed");
            Problem::unavailable("the program cannot be packed now: the server's log says why")
        }
    }
}

fn answer(archive: &Archive, headers: &HeaderMap) -> Response {
    let kept = [(ETAG, archive.etag.clone()), (CACHE_CONTROL, "no-cache".to_owned())];
    let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    if known.flat_map(|value| value.split(',')).any(|tag| tag.trim().trim_start_matches("W/") == archive.etag) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    let about = [(CONTENT_TYPE, "application/gzip".to_owned()), (CONTENT_LENGTH, archive.size.to_string())];
    let pieces = stream::try_unfold((archive.clone(), 0), |(archive, offset)| async move {
        let piece = archive.read(offset).await?;
        let next = offset + piece.len() as u64;
        Ok::<_, std::io::Error>((!piece.is_empty()).then_some((piece, (archive, next))))
    });
    (kept, about, Body::from_stream(pieces)).into_response()
}
