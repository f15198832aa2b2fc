//! `/v1/saves`: what is to be kept when the script has ended.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::sync::watch;
use tokio::time::timeout;

use super::Refusal;
use crate::api::controller::{Done, Due, Save, ScriptEnd, Unsaved, When};
use crate::controller::Phase;
use crate::controller::access::{OfBuild, Trusted};
use crate::controller::body::take;
use crate::controller::openapi::{Sending, Token, Undecided};

/// The largest declaration, bytes.
const BODY: usize = 64 * 1024;
/// Of one build.
const SAVES: usize = 64;
/// Of one save.
const PATHS: usize = 256;
/// How long the sidecar's question is held.
const HELD: Duration = Duration::from_secs(20);
/// The sidecar asks all the time; has it not come by then, it never will.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// Everything is kept by then, or given up.
const DONE_WITHIN: Duration = Duration::from_secs(10 * 60);

/// What is to be kept, and how far that is.
#[derive(Debug, Default)]
pub(crate) struct Saves {
    declared: Mutex<Vec<Save>>,
    /// How the script has ended.
    ended: watch::Sender<Option<ScriptEnd>>,
    /// The sidecar has been told.
    taken: watch::Sender<bool>,
    done: watch::Sender<Option<Vec<Unsaved>>>,
}

/// Has something kept when the script has ended
#[utoipa::path(post, path = "/v1/saves", tag = "script", security(("script" = [])), operation_id = "declare_save", request_body = Save,
    responses((status = 201, description = "It will be."), Token, Undecided, Sending),)]
pub(in crate::controller) async fn declare(
    OfBuild(app): OfBuild,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    // A build that keeps nothing learns it now, not when it is over.
    app.link().await?;
    let bytes = take(body, &headers, BODY).await?;
    let wrong = |error| Refusal::senseless(format!("what is to be kept cannot be read: {error}"));
    let save: Save = serde_json::from_slice(&bytes).map_err(wrong)?;
    if save.paths.is_empty() || save.paths.len() > PATHS {
        return Err(Refusal::senseless(format!("paths: expected 1 to {PATHS}")));
    }
    app.saves.add(save)?;
    Ok(StatusCode::CREATED)
}

/// What is to be kept
#[utoipa::path(get, path = "/v1/saves", tag = "script", security(("script" = [])), operation_id = "list_saves",
    responses((status = 200, description = "All of it.", body = Vec<Save>), Token),)]
pub(in crate::controller) async fn declared(OfBuild(app): OfBuild) -> Json<Vec<Save>> {
    Json(app.saves.all())
}

/// What is to be kept now
///
/// Held until the script has ended.
#[utoipa::path(get, path = "/v1/saves/due", tag = "trusted", security(("trusted" = [])), operation_id = "wait_for_saves",
    responses((status = 200, description = "The script has ended.", body = Due), (status = 204, description = "It has not: ask again."), Token),)]
pub(in crate::controller) async fn due(Trusted(app): Trusted) -> Result<Response, Refusal> {
    let (mut ended, mut phase) = (app.saves.ended.subscribe(), app.phase.subscribe());
    let told = tokio::select! {
        _ = phase.wait_for(|phase| *phase == Phase::Ended) => return Err(Refusal::gone()),
        told = timeout(HELD, ended.wait_for(Option::is_some)) => match told {
            Ok(Ok(ended)) => *ended,
            Ok(Err(_)) | Err(_) => None,
        },
    };
    let Some(ended) = told else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    app.saves.taken.send_replace(true);
    Ok(Json(Due { ended, saves: app.saves.due(ended) }).into_response())
}

/// Says that everything is kept, or what is not
#[utoipa::path(post, path = "/v1/saves/done", tag = "trusted", security(("trusted" = [])), operation_id = "saves_done", request_body = Done,
    responses((status = 204, description = "It is noted."), (status = 422, description = "It cannot be read."), Token, Sending),)]
pub(in crate::controller) async fn done(
    Trusted(app): Trusted,
    body: Result<Json<Done>, JsonRejection>,
) -> Result<StatusCode, Refusal> {
    let Json(done) = body.map_err(|error| Refusal::senseless(error.body_text()))?;
    app.saves.done.send_replace(Some(done.failed));
    Ok(StatusCode::NO_CONTENT)
}

impl Saves {
    /// The same id again replaces what was declared before.
    fn add(&self, save: Save) -> Result<(), Refusal> {
        let mut declared = self.declared.lock().unwrap_or_else(PoisonError::into_inner);
        declared.retain(|other| (other.kind, &other.id) != (save.kind, &save.id));
        if declared.len() >= SAVES {
            return Err(Refusal::too_large(format!("at most {SAVES} things are kept at the end")));
        }
        declared.push(save);
        Ok(())
    }

    fn all(&self) -> Vec<Save> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn due(&self, ended: ScriptEnd) -> Vec<Save> {
        let mut saves = self.all();
        saves.retain(|save| ended == ScriptEnd::Success || save.when == When::Always);
        saves
    }

    /// The script has ended: waits until everything is kept, and tells what is not.
    pub(in crate::controller) async fn settle(&self, ended: ScriptEnd) -> Vec<Unsaved> {
        let wanted = self.due(ended);
        self.ended.send_replace(Some(ended));
        if wanted.is_empty() {
            return Vec::new();
        }
        let none_of = |reason: &str| {
            let unsaved = |save: Save| Unsaved { kind: save.kind, id: save.id, reason: reason.to_owned() };
            wanted.clone().into_iter().map(unsaved).collect()
        };
        let (mut taken, mut done) = (self.taken.subscribe(), self.done.subscribe());
        if timeout(TAKEN_WITHIN, taken.wait_for(|taken| *taken)).await.is_err() {
            return none_of("the build's sidecar does not ask for what is to be kept");
        }
        match timeout(DONE_WITHIN, done.wait_for(Option::is_some)).await {
            Ok(Ok(failed)) => failed.clone().unwrap_or_default(),
            Ok(Err(_)) | Err(_) => none_of("it took too long"),
        }
    }
}
