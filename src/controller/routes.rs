//! All of the HTTP surface. Which token opens what stands in the handlers' first argument: [`super::access`].

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::access::{Door, nowhere, otherwise};
use super::{blobs, build, events, finish, jobs, log, machine, openapi, params, report, runner, served};
use crate::domain::blob::BlobKind;

/// The routes of one door.
pub(super) fn routes(door: Door) -> Router {
    finished(shared(), door)
}

/// Those of a port: the build that started this service comes in there.
pub(super) fn of_port(door: Door) -> Router {
    finished(shared().route("/v1/service", get(jobs::serve)), door)
}

fn shared() -> Router<Door> {
    Router::new()
        .route("/v1/openapi.json", get(openapi::openapi))
        .route("/v1/build", get(build::build))
        .route("/v1/workspace", get(build::workspace))
        .route("/v1/attach", post(build::attach))
        .route("/v1/prepared", post(build::prepared))
        .route("/v1/params", get(params::all))
        .route("/v1/params/{name}", get(params::one))
        .route("/v1/events", get(events::read).post(events::write))
        .route("/v1/report", post(report::report))
        .route("/v1/runner", post(runner::register))
        .route("/v1/masks", get(log::masks))
        .route("/v1/log/{stream}/{offset}", put(log::put))
        .route("/v1/log/{stream}/end", post(log::end))
        .route("/v1/artifacts", get(blobs::list))
        .route("/v1/artifacts/{id}", blobs::one(BlobKind::Artifact))
        .route("/v1/caches/{id}", blobs::one(BlobKind::Cache))
        .route("/v1/saves", get(blobs::declared).post(blobs::declare))
        .route("/v1/saves/due", get(blobs::due))
        .route("/v1/saves/done", post(blobs::done))
        .route("/v1/machine", post(machine::machine))
        .route("/v1/finish", post(finish::finish))
        .route("/v1/job", get(jobs::own))
        .route("/v1/jobs", get(jobs::all).post(jobs::make))
        .route("/v1/jobs/{name}", get(jobs::one).delete(jobs::stop))
        .route("/v1/jobs/{name}/log", get(jobs::log))
        .route("/v1/jobs/{name}/connect", get(jobs::connect))
}

fn finished(router: Router<Door>, door: Door) -> Router {
    router
        .fallback(nowhere)
        .method_not_allowed_fallback(otherwise)
        .layer(CatchPanicLayer::new())
        .layer(always(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(always(CACHE_CONTROL, "no-store"))
        .layer(from_fn_with_state(door.clone(), served::count))
        .with_state(door)
}

fn always(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
