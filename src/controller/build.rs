//! What is built, how its workspace is made, and the two steps before the script may start.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;

use super::access::{Either, Trusted};
use super::answer::Refusal;
use super::openapi::{Token, Undecided};
use super::session::Decided;
use super::{App, Phase};
use crate::api::controller::{Build, WireWorkspace, Workspace};
use crate::domain::grant::Checkout;
use crate::domain::runner::{TRUSTED_SOCKET, TRUSTED_TOKEN};

/// How long `prepared` waits for the sidecar.
const HELD: Duration = Duration::from_secs(20);

/// What is built
#[utoipa::path(get, path = "/v1/build", tag = "script", security(("script" = []), ("trusted" = [])), operation_id = "get_build",
    responses((status = 200, description = "The build.", body = Build), Token, Undecided),)]
pub(super) async fn build(Either { app, .. }: Either) -> Result<Json<Build>, Refusal> {
    let decided = app.decided().await?;
    Ok(Json(what(&app, &decided)))
}

fn what(app: &App, decided: &Decided) -> Build {
    let facts = match decided {
        Decided::Granted(granted) => granted.grant.facts.clone(),
        Decided::Without(_) => app.facts.clone(),
    };
    Build { id: app.build.clone(), facts }
}

/// How the workspace is made
#[utoipa::path(get, path = "/v1/workspace", tag = "trusted", security(("trusted" = [])), operation_id = "get_workspace",
    responses((status = 200, description = "The build and its checkout, credential and all.", body = WireWorkspace), Token, Undecided),)]
pub(super) async fn workspace(Trusted(app): Trusted) -> Result<Response, Refusal> {
    let decided = app.decided().await?;
    let build = what(&app, &decided);
    let workspace = match decided {
        Decided::Granted(granted) => Workspace { build, checkout: granted.grant.checkout.clone(), notice: None },
        Decided::Without(reason) => {
            let checkout = Checkout { source: true, submodules: false, lfs: false, credential: None };
            Workspace { build, checkout, notice: Some(reason.to_string()) }
        }
    };
    let unwritten = |_never| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written");
    let body = workspace.to_wire().map_err(unwritten)?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

/// Says that the sidecar is there
#[utoipa::path(post, path = "/v1/attach", tag = "trusted", security(("trusted" = [])), responses((status = 204, description = "It is noted."), Token),)]
pub(super) async fn attach(Trusted(app): Trusted) -> StatusCode {
    app.attached.send_replace(true);
    StatusCode::NO_CONTENT
}

/// Says that the workspace is made
///
/// Held until the sidecar is there too; then the trusted socket's name and its token are gone.
#[utoipa::path(post, path = "/v1/prepared", tag = "trusted", security(("trusted" = [])), responses((status = 204, description = "The script may start."),
    (status = 503, description = "The sidecar is not there yet: ask again."), Token),)]
pub(super) async fn prepared(Trusted(app): Trusted) -> Result<StatusCode, Refusal> {
    let (mut attached, mut phase) = (app.attached.subscribe(), app.phase.subscribe());
    tokio::select! {
        _ = phase.wait_for(|phase| *phase == Phase::Ended) => return Err(Refusal::gone()),
        waited = timeout(HELD, attached.wait_for(|attached| *attached)) => if waited.is_err() {
            return Err(Refusal::waiting("the sidecar has not attached yet: ask again"));
        },
    }
    for name in [TRUSTED_TOKEN, TRUSTED_SOCKET] {
        app.folder.remove(name).map_err(|error| {
            tracing::error!(%error, name, "a file of the trusted tasks cannot be removed");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the files of the trusted tasks cannot be removed")
        })?;
    }
    Ok(StatusCode::NO_CONTENT)
}
