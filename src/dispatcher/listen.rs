//! The listener: HTTP/1.1, with an end to every wait.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::outlet::Outlet;

/// A client that has not sent its headers by then is cut off.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);
/// A client that has taken no byte of what is there for it by then is cut off: a pager that somebody left open may come
/// back to its log within minutes, and one that never does must not keep its place.
const TAKEN_WITHIN: Duration = Duration::from_secs(300);
/// Connections at once; more wait in the kernel's queue. Each costs some 20 KB, and hundreds of readers are usual.
const CONNECTIONS: usize = 4096;
/// How long a shutdown waits for answers that are under way.
const DRAIN: Duration = Duration::from_secs(5);
/// Out of file descriptors: wait a little instead of spinning.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Answers connections until `shutdown`, then lets those under way end, for a few seconds at most.
pub(crate) async fn listen(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Some((stream, place)) = accept(&listener, &places, &shutdown).await else { break };
        let (router, shutdown) = (router.clone(), shutdown.clone());
        connections.spawn(async move {
            let _place = place;
            serve_connection(stream, router, shutdown).await;
        });
    }
    connections.close();
    if tokio::time::timeout(DRAIN, connections.wait()).await.is_err() {
        tracing::warn!(open = connections.len(), "connections were still open at shutdown");
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    shutdown: &CancellationToken,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    loop {
        let place = tokio::select! {
            () = shutdown.cancelled() => return None,
            place = Arc::clone(places).acquire_owned() => place.ok()?,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return None,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _peer)) => return Some((stream, place)),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_connection(stream: tokio::net::TcpStream, router: Router, shutdown: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .serve_connection(TokioIo::new(Outlet::new(stream, TAKEN_WITHIN)), TowerToHyperService::new(router));
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
