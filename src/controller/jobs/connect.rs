//! A connection from the script to a service that it has started, by the controllers of both builds.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request};
use axum::http::header::{CONNECTION, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::super::access::OfBuild;
use super::super::answer::Refusal;
use super::super::openapi::Token;
use super::super::{Phase, SharedApp};
use super::Place;
use super::ask::{find, named, unknown};
use crate::api::controller::{Controller, ControllerAddress, ControllerError, TUNNEL};
use crate::domain::id::JobName;
use crate::listen::splice;

/// Both controllers and the service are near.
const REACHED_WITHIN: Duration = Duration::from_secs(15);

/// A connection to a service that the build has started
#[utoipa::path(get, path = "/v1/jobs/{name}/connect", tag = "script", security(("script" = [])), operation_id = "connect_job", params(("Upgrade" = String, Header, description = "`tcp`"), ("name" = JobName, Path, description = "The job's name.")),
    responses((status = 101, description = "Bytes to and from its port follow."),
        (status = 426, description = "It is a connection: `Connection: Upgrade` and `Upgrade: tcp` are needed."),
        (status = 429, description = "Too many connections at once."),
        (status = 503, description = "It takes no connection now: try again."), Token,
        (status = 400, description = "The address cannot be read."),
        (status = 404, description = "The build has no job of that name."),
        (status = 409, description = "It is no service, or has ended."),
        (status = 502, description = "It cannot be reached.")),)]
pub(in super::super) async fn connect(
    OfBuild(app): OfBuild,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Refusal> {
    let name = named(&name)?;
    wants_tunnel(request.headers())?;
    let place = ready(&app, &name)?;
    let tunnel = permit(&app)?;
    let far = timeout(REACHED_WITHIN, reach(&place)).await;
    let gone = |why: String| Refusal::new(StatusCode::BAD_GATEWAY, format!("the service cannot be reached: {why}"));
    let far = far.map_err(|_elapsed| gone("no answer in time".to_owned()))?;
    let far = far.map_err(|error| {
        tracing::debug!(%error, job = %name, "a service cannot be reached");
        gone(error.to_string())
    })?;
    Ok(switch(app, request, far, tunnel))
}

async fn reach(place: &Place) -> Result<reqwest::Upgraded, ControllerError> {
    let address: ControllerAddress = format!("http://{}", place.address).parse().map_err(|_error| {
        ControllerError::Socket(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it has told no address"))
    })?;
    Controller::new(&address, place.secret.clone())?.service().await
}

fn ready(app: &SharedApp, name: &JobName) -> Result<Place, Refusal> {
    let shown = app.jobs.shown.borrow();
    let job = find(&shown, name).ok_or_else(unknown)?;
    if !job.service {
        return Err(Refusal::new(StatusCode::CONFLICT, format!("job {name} is no service")));
    }
    if job.ended {
        return Err(Refusal::new(StatusCode::CONFLICT, format!("the service {name} has ended: {}", job.words())));
    }
    let place = app.jobs.places().get(name).cloned().filter(|_| job.ready);
    place.ok_or_else(|| Refusal::waiting(format!("the service {name} is not ready yet ({})", job.words())))
}

/// Whether bytes may follow the answer.
pub(super) fn wants_tunnel(headers: &HeaderMap) -> Result<(), Refusal> {
    let named = headers.get(UPGRADE).and_then(|value| value.to_str().ok());
    if named.is_some_and(|value| value.eq_ignore_ascii_case(TUNNEL)) {
        return Ok(());
    }
    Err(Refusal::new(StatusCode::UPGRADE_REQUIRED, "this is a connection: send Connection: Upgrade and Upgrade: tcp"))
}

pub(super) fn permit(app: &SharedApp) -> Result<OwnedSemaphorePermit, Refusal> {
    let free = Arc::clone(&app.jobs.tunnels).try_acquire_owned();
    free.map_err(|_full| Refusal::busy("too many connections to services at once"))
}

/// Answers 101, and carries bytes from then on until both sides have ended, or the build has.
pub(super) fn switch<F>(app: SharedApp, mut request: Request, far: F, tunnel: OwnedSemaphorePermit) -> Response
where
    F: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let near = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let _tunnel = tunnel;
        let mut phase = app.phase.subscribe();
        let carried = async {
            match near.await {
                Ok(near) => splice(near, far).await,
                Err(error) => tracing::debug!(%error, "a connection to a service never began"),
            }
        };
        tokio::select! {
            () = carried => {}
            _ = phase.wait_for(|phase| *phase != Phase::Running) => {}
        }
    });
    let headers = [(CONNECTION, HeaderValue::from_static("upgrade")), (UPGRADE, HeaderValue::from_static(TUNNEL))];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}
