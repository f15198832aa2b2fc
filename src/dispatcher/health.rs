//! Whether the server is alive, ready, and what it is.

use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tokio::sync::Mutex;

use super::metrics::Moment;
use super::{App, SharedApp};
use crate::api::store::StoreError;
use crate::domain::place;

/// How long `readyz` waits for Nomad and Consul together.
const READY_WITHIN: Duration = Duration::from_secs(5);

/// The process answers
#[utoipa::path(get, path = "/healthz", tag = "operators", operation_id = "get_healthz", security(()), responses((status = 200, description = "`ok`", body = String, content_type = "text/plain")))]
pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

/// The server's version
#[utoipa::path(get, path = "/version", tag = "operators", operation_id = "get_version", security(()), responses((status = 200, description = "The version.", body = String, content_type = "text/plain")))]
pub(crate) async fn version() -> String {
    format!("{}\n", env!("CARGO_PKG_VERSION"))
}

/// Metrics, in OpenMetrics' text format
#[utoipa::path(get, path = "/metrics", tag = "operators", operation_id = "get_metrics", security(()), responses(
    (status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text"),
))]
pub(crate) async fn metrics(State(app): State<SharedApp>) -> Response {
    let (log_readers, log_upstreams) = app.logs.load();
    let registry_age = app.registry.silence();
    let moment = Moment { now: Timestamp::now(), log_readers, log_upstreams, registry_age };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(CONTENT_TYPE, kind)], app.metrics.text(&moment)).into_response()
}

/// The last look at Nomad and Consul: one at a time, however many ask.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Vec<String>)>>);

impl Readiness {
    /// What is missing, found out after the call.
    async fn missing(&self, app: &App) -> Vec<String> {
        let asked = Instant::now();
        let mut last = self.0.lock().await;
        if let Some((begun, missing)) = last.as_ref()
            && *begun >= asked
        {
            return missing.clone();
        }
        let begun = Instant::now();
        let missing = look(app).await;
        *last = Some((begun, missing.clone()));
        missing
    }
}

async fn look(app: &App) -> Vec<String> {
    let both = async { (app.registry.check().await, app.engine.check().await) };
    let Ok((registry, engine)) = tokio::time::timeout(READY_WITHIN, both).await else {
        return vec!["Nomad or Consul does not answer in time".to_owned()];
    };
    let mut missing = registry.unwrap_or_else(|error| vec![error.to_string()]);
    missing.extend(engine.unwrap_or_else(|error| vec![error.to_string()]));
    missing.extend(store(app).await);
    if !missing.is_empty() {
        tracing::warn!(?missing, "not ready");
    }
    missing
}

/// Why the store cannot be written, if it cannot.
async fn store(app: &App) -> Option<String> {
    let store = app.store.as_ref()?;
    let error = match tokio::time::timeout(READY_WITHIN, store.put(&place::ready(), "ready\n")).await {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => error,
        Err(_late) => StoreError::Late,
    };
    tracing::warn!(error = &error as &dyn std::error::Error, "the store cannot be written");
    Some(format!("the store cannot be written: {error}"))
}

/// Whether the server can do its work
///
/// Nomad and Consul answer, no right is missing, and the store can be written.
#[utoipa::path(get, path = "/readyz", tag = "operators", operation_id = "get_readyz", security(()), responses(
    (status = 200, description = "`ready`", body = String, content_type = "text/plain"),
    (status = 503, description = "A line for each thing that is missing."),
))]
pub(crate) async fn readyz(State(app): State<SharedApp>) -> Response {
    let missing = app.readiness.missing(&app).await;
    if missing.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n").into_response()
}
