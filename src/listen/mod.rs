//! Connections of strangers: HTTP/1.1 over TCP or a Unix socket, with a bound on how many there are and an end to every
//! wait.

mod outlet;
mod tunnel;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::either::Either;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use outlet::Outlet;

pub(crate) use tunnel::splice;

/// Out of file descriptors: wait a little instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where connections come in.
#[derive(Debug)]
pub(crate) enum Entrance {
    /// A port.
    Tcp(TcpListener),
    /// A socket file.
    Unix(UnixListener),
}

/// What one entrance may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A client that has not sent its headers by then is cut off.
    pub(crate) headers_within: Duration,
    /// A client that has taken no byte of what is there for it by then is cut off.
    pub(crate) taken_within: Duration,
    /// Connections at once; more wait in the kernel's queue.
    pub(crate) connections: usize,
    /// Bytes that one connection may keep of what it reads; none is hyper's own bound, some 400 KB.
    pub(crate) buffer: Option<usize>,
    /// How long a shutdown waits for answers that are under way.
    pub(crate) drain: Duration,
}

type Stream = Either<TcpStream, UnixStream>;

/// Answers connections until `shutdown`, then lets those under way end, for a while at most.
pub(crate) async fn listen(entrance: Entrance, router: Router, limits: Limits, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Some((stream, place)) = accept(&entrance, &places, &shutdown).await else { break };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        connections.spawn(async move {
            let _place = place;
            serve_connection(stream, router, limits, shutdown).await;
        });
    }
    connections.close();
    if tokio::time::timeout(limits.drain, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were still open at shutdown");
    }
}

impl Entrance {
    async fn accept(&self) -> std::io::Result<Stream> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _peer) = listener.accept().await?;
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "no TCP_NODELAY");
                }
                Ok(Either::Left(stream))
            }
            Self::Unix(listener) => listener.accept().await.map(|(stream, _peer)| Either::Right(stream)),
        }
    }
}

async fn accept(
    entrance: &Entrance,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(Stream, OwnedSemaphorePermit)> {
    loop {
        let place = tokio::select! {
            () = shutdown.cancelled() => return None,
            place = Arc::clone(places).acquire_owned() => place.ok()?,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return None,
            accepted = entrance.accept() => accepted,
        };
        match accepted {
            Ok(stream) => return Some((stream, place)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: Stream, router: Router, limits: Limits, shutdown: CancellationToken) {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.headers_within);
    if let Some(bytes) = limits.buffer {
        builder.max_buf_size(bytes);
    }
    let stream = TokioIo::new(Outlet::new(stream, limits.taken_within));
    let connection = builder.serve_connection(stream, TowerToHyperService::new(router)).with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients that leave in the middle are ordinary.
        tracing::debug!(%error, "a connection ended early");
    }
}
