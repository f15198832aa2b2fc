//! The style and the script of all pages, compiled in.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

/// The version is part of a page's links, so that a browser keeps nothing of an older server.
const KEPT: &str = "public, max-age=3600";

/// `GET /assets/{name}`
pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let (kind, text) = match name.as_str() {
        "albatros.css" => ("text/css; charset=utf-8", include_str!("asset/albatros.css")),
        "albatros.js" => ("text/javascript; charset=utf-8", include_str!("asset/albatros.js")),
        "log.css" => ("text/css; charset=utf-8", include_str!("asset/log.css")),
        "log.js" => ("text/javascript; charset=utf-8", include_str!("asset/log.js")),
        _ => return (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    };
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, KEPT)], text).into_response()
}
