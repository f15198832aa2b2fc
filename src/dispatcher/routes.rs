//! All of the HTTP surface.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, HeaderName, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post, put};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::{
    SharedApp, answer, approvals, badge, bin, blobs, builds, health, hook, logs, metrics, openapi, pages, people,
    retry, session, signin, trigger,
};
use crate::domain::blob::BlobKind;

/// The routes. A build is `/builds/<builder>/<dispatch-…>`, slashes in a builder's name percent-encoded.
pub(crate) fn routes(app: SharedApp) -> Router {
    Router::new()
        .route("/", get(pages::root))
        .route("/hook", post(hook::hook))
        .route("/build", get(logs::build))
        .route("/builds", get(builds::list))
        .route("/builds/latest", get(builds::latest))
        .route("/builds/claim/{claim}", get(builds::one_by_claim).delete(people::cancel_claim))
        .route("/builds/claim/{claim}/cancel", post(people::cancel_claim_by_form))
        .route("/builds/claim/{claim}/approve", post(approvals::approve))
        .route("/builds/claim/{claim}/retry", post(retry::claim))
        .route("/builds/{builder}/{child}", get(builds::one).delete(people::cancel))
        .route("/builds/{builder}/{child}/cancel", post(people::cancel_by_form))
        .route("/builds/{builder}/{child}/retry", post(retry::build))
        .route("/builds/{builder}/{child}/log", get(logs::build_log))
        .route("/builds/{builder}/{child}/artifacts", get(blobs::people::list))
        .route("/builds/{builder}/{child}/artifacts/{id}", get(blobs::people::one))
        .route("/builds/{builder}/{child}/artifacts/{id}/{*path}", get(blobs::people::file))
        .route("/session", post(session::exchange))
        .route("/session/{claim}/report", put(session::report))
        .route("/session/{claim}/artifacts", session::blobs::list())
        .route("/session/{claim}/artifacts/{id}", session::blobs::one(BlobKind::Artifact))
        .route("/session/{claim}/artifacts/{id}/commit", session::blobs::commit(BlobKind::Artifact))
        .route("/session/{claim}/caches/{id}", session::blobs::one(BlobKind::Cache))
        .route("/session/{claim}/caches/{id}/commit", session::blobs::commit(BlobKind::Cache))
        .route("/session/{claim}/uploads/{upload}", put(session::blobs::upload))
        .route("/session/{claim}/log/{stream}/{offset}", put(session::log_put))
        .route("/session/{claim}/log/{stream}/end", post(session::log_end))
        .route("/session/{claim}/address", put(session::jobs::address))
        .route("/session/{claim}/jobs", get(session::jobs::list))
        .route("/session/{claim}/jobs/{name}", put(session::jobs::start).delete(session::jobs::stop))
        .route("/session/{claim}/jobs/{name}/log", get(session::jobs::log))
        .route("/session/{claim}/runner", post(session::runner))
        .route("/held", get(approvals::held))
        .route("/approved", get(approvals::list).put(approvals::add).delete(approvals::remove))
        .route("/signin", get(signin::show).post(signin::sign_in))
        .route("/signout", post(signin::sign_out))
        .route("/trigger", post(trigger::trigger))
        .route("/bin/{name}", get(bin::bin))
        .route("/assets/{name}", get(pages::asset))
        .route("/badge.svg", get(badge::badge))
        .route("/metrics", get(health::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/version", get(health::version))
        .route("/openapi.json", get(openapi::openapi))
        .layer(from_fn_with_state(SharedApp::clone(&app), answer::in_form))
        .layer(CatchPanicLayer::new())
        .layer(always(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(always(CACHE_CONTROL, "no-store"))
        .layer(from_fn_with_state(SharedApp::clone(&app), metrics::measure))
        .with_state(app)
}

/// No answer of ours, refusals among them, is a page to be guessed at, or one to be kept: what strangers name stands in
/// them, and who asks matters.
fn always(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
}
