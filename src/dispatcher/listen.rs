//! What the server's listener may take.

use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::listen::{Entrance, Limits};

const LIMITS: Limits = Limits {
    headers_within: Duration::from_secs(10),
    // A pager that somebody left open may come back to its log within minutes, and one that never does must not keep its
    // place.
    taken_within: Duration::from_secs(300),
    // Each costs some 20 KB, and hundreds of readers are usual.
    connections: 4096,
    buffer: None,
    drain: Duration::from_secs(5),
};

/// Answers connections until `shutdown`, then lets those under way end, for a few seconds at most.
pub(crate) async fn listen(listener: TcpListener, router: Router, shutdown: CancellationToken) {
    crate::listen::listen(Entrance::Tcp(listener), router, LIMITS, shutdown).await;
}
