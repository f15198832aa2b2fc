//! `POST /v1/runner`: what the runner that this build is shows its forge, once.

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use tokio::sync::Mutex;

use super::access::Script;
use super::answer::Refusal;
use super::openapi::{Token, Undecided};
use super::upstream::refused;
use crate::domain::runner_wire::RunnerRegistration;

/// Whether it has been given.
#[derive(Debug, Default)]
pub(crate) struct Given(Mutex<bool>);

/// Registers the runner that this build is
///
/// At its forge, for one job. Given once: whatever runs in the runner afterwards cannot ask for it.
#[utoipa::path(post, path = "/v1/runner", tag = "script", security(("script" = [])), operation_id = "register_runner",
    responses((status = 200, description = "What the runner's program needs; a secret of the runner.", body = RunnerRegistration),
        (status = 404, description = "This build is no runner."),
        (status = 410, description = "It has been given, or the build has ended."),
        (status = 429, description = "It was asked too often: ask again after `Retry-After`."),
        (status = 503, description = "The forge or the server cannot now: ask again after `Retry-After`."), Token, Undecided),)]
pub(super) async fn register(Script(app): Script) -> Result<Response, Refusal> {
    let upstream = app.link().await?;
    // Held while serve is asked: two at once would be two runners at the forge.
    let mut given = app.runner.0.lock().await;
    if *given {
        return Err(Refusal::new(StatusCode::GONE, "the runner's registration has been given: it is given once"));
    }
    let registered = upstream.server.runner(&upstream.claim, &upstream.secret).await;
    let registration = registered.map_err(|error| match error.status() {
        // serve knows the build, and that it is none; here there is nothing to be had then.
        Some(StatusCode::CONFLICT) => Refusal::new(StatusCode::NOT_FOUND, error.to_string()),
        // serve passes on what the forge asks for.
        Some(_) | None => refused(&error).leaving_alone(error.wait()),
    })?;
    let unsaid = |_error| Refusal::waiting("the runner's registration cannot be told");
    let body = registration.to_wire().map_err(unsaid)?;
    *given = true;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}
