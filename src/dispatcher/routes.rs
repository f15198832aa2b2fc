//! All of the HTTP surface.

use axum::Router;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use super::{SharedApp, builds, health, hook, logs, people, trigger};

/// The routes. A build is `/builds/<builder>/<dispatch-…>`, slashes in a builder's name percent-encoded.
pub(crate) fn routes(app: SharedApp) -> Router {
    Router::new()
        .route("/hook", post(hook::hook))
        .route("/build", get(logs::build))
        .route("/builds", get(builds::list))
        .route("/builds/claim/{claim}", get(builds::one_by_claim).delete(people::cancel_claim))
        .route("/builds/claim/{claim}/approve", post(people::approve))
        .route("/builds/{builder}/{child}", get(builds::one).delete(people::cancel))
        .route("/builds/{builder}/{child}/log", get(logs::build_log))
        .route("/trigger", post(trigger::trigger))
        .route("/metrics", get(health::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/version", get(health::version))
        .layer(CatchPanicLayer::new())
        .with_state(app)
}
