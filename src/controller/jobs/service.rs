//! This build as a service of another one: its port, behind the socket that its executor has made.

use std::io;
use std::time::Duration;

use axum::extract::Request;
use axum::response::Response;
use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::super::access::Parent;
use super::super::answer::Refusal;
use super::super::exchange::Pause;
use super::super::openapi::Token;
use super::super::session::Session;
use super::super::{App, SharedApp};
use super::connect::{permit, switch, wants_tunnel};
use crate::domain::runner::{SERVICE_READY, SERVICE_SOCKET};

/// How long a service may take to accept a connection.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);
/// Between two looks whether the service takes connections yet.
const LOOK: Duration = Duration::from_millis(250);

/// A connection to this build's own port, where it is a service
///
/// At the controller's port alone, for the controller of the build that started it.
#[utoipa::path(get, path = "/v1/service", tag = "services", security(("service" = [])), operation_id = "connect_service", params(("Upgrade" = String, Header, description = "`tcp`"),),
    responses((status = 101, description = "Bytes to and from its port follow."),
        (status = 426, description = "It is a connection: `Connection: Upgrade` and `Upgrade: tcp` are needed."),
        (status = 429, description = "Too many connections at once."),
        (status = 503, description = "It takes no connection now: try again."), Token),)]
pub(in super::super) async fn serve(Parent(app): Parent, request: Request) -> Result<Response, Refusal> {
    wants_tunnel(request.headers())?;
    let tunnel = permit(&app)?;
    let far = open(&app).await.map_err(|error| {
        tracing::debug!(%error, "the service takes no connection");
        Refusal::waiting("the service takes no connection now")
    })?;
    Ok(switch(app, request, far, tunnel))
}

/// A connection to the service's port.
async fn open(app: &App) -> io::Result<UnixStream> {
    let socket = app.folder.socket(SERVICE_SOCKET)?;
    let taken = async {
        let mut stream = UnixStream::connect(socket.as_path()).await?;
        match stream.read_u8().await? {
            SERVICE_READY => Ok(stream),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it is not the socket of a service")),
        }
    };
    timeout(TAKEN_WITHIN, taken).await?
}

/// Where this build is a service: waits until that takes connections, and tells serve where.
pub(in super::super) async fn announce(app: SharedApp, address: Option<String>) {
    let mut session = app.session.subscribe();
    let decided = session.wait_for(|session| !matches!(session, Session::Waiting)).await.map(|session| session.clone());
    let (Ok(Session::Granted(granted)), Some(link)) = (decided, &app.upstream) else { return };
    if granted.grant.service_secret.is_none() {
        return;
    }
    let Some(address) = address else {
        tracing::error!("a service's controller needs a port: set ALBATROS_CONTROLLER_LISTEN in its builder");
        return;
    };
    while let Err(error) = open(&app).await {
        tracing::debug!(%error, "the service is not ready yet");
        sleep(LOOK).await;
    }
    let mut pause = Pause::default();
    loop {
        match link.server.tell_address(&link.claim, &link.secret, &address).await {
            Ok(()) => return tracing::info!(%address, "the service is ready"),
            Err(error) if error.status().is_some_and(|it| it.is_client_error() && it.as_u16() != 429) => {
                return tracing::error!(%error, "serve does not take the service's address");
            }
            Err(error) => tracing::warn!(%error, "serve could not be told the service's address yet"),
        }
        sleep(pause.next(None)).await;
    }
}
