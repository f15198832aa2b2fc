//! The style and the script of all pages, compiled in.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use crate::domain::ansi::palette;

/// An hour, though what is linked never changes: an icon has no version.
const KEPT: &str = "public, max-age=3600";

const STYLE: &str = include_str!("asset/albatros.css");
const SCRIPT: &str = include_str!("asset/albatros.js");
const LOG_STYLE: &str = include_str!("asset/log.css");
const LOG_SCRIPT: &str = include_str!("asset/log.js");

/// Stands in the links to them, so that a browser keeps nothing of another server's.
pub(crate) const ASSETS: u64 = mixed(mixed(mixed(mixed(0xcbf2_9ce4_8422_2325, STYLE), SCRIPT), LOG_STYLE), LOG_SCRIPT);

/// FNV-1a.
const fn mixed(start: u64, text: &str) -> u64 {
    let mut hash = start;
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        hash = (hash ^ *first as u64).wrapping_mul(0x100_0000_01b3);
        rest = tail;
    }
    hash
}

/// The style and the script of the pages
#[utoipa::path(get, path = "/assets/{name}", tag = "people", operation_id = "get_asset", security(()),
    params(("name" = String, Path, description = "The file, as pages name it.")),
    responses(
        (status = 200, description = "The file.", content((String = "text/css"), (String = "text/javascript"), (String = "image/svg+xml"))),
        (status = 400, description = "The address cannot be read."),
        (status = 404, description = "There is no such file."),
    ),)]
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let (kind, text) = match name.as_str() {
        "albatros.css" => ("text/css; charset=utf-8", STYLE),
        "albatros.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "log.css" => ("text/css; charset=utf-8", LOG_STYLE),
        "log-colors.css" => ("text/css; charset=utf-8", palette::CSS.as_str()),
        "log.js" => ("text/javascript; charset=utf-8", LOG_SCRIPT),
        "icon.svg" => ("image/svg+xml", include_str!("asset/icon.svg")),
        _ => return (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    };
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, KEPT)], text).into_response()
}
