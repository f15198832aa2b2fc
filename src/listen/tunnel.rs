//! Connections that have stopped being HTTP.

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};

use super::Stream;
use super::outlet::Outlet;

/// Carries bytes both ways until both sides have ended. Who takes nothing for a while is left alone here: that is up to
/// the two programs that talk.
pub(crate) async fn splice<F: AsyncRead + AsyncWrite + Unpin>(near: Upgraded, mut far: F) {
    let carried = match near.downcast::<TokioIo<Outlet<Stream>>>() {
        Ok(parts) => {
            let mut near = parts.io.into_inner().into_inner();
            match far.write_all(&parts.read_buf).await {
                Ok(()) => copy_bidirectional(&mut near, &mut far).await,
                Err(error) => Err(error),
            }
        }
        Err(near) => copy_bidirectional(&mut TokioIo::new(near), &mut far).await,
    };
    if let Err(error) = carried {
        // Programs that leave in the middle are ordinary.
        tracing::debug!(%error, "a connection to a service ended early");
    }
}
