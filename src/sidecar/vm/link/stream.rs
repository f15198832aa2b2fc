//! One end of a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Held;

/// One end of a stream. Dropped before [`AsyncWrite::poll_shutdown`], it is given up, and what was not sent is lost;
/// after it, the rest is still sent.
#[derive(Debug)]
pub struct Stream {
    id: u32,
    held: Arc<Held>,
}

impl Stream {
    pub(super) fn new(id: u32, held: Arc<Held>) -> Self {
        Self { id, held }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.held.shared.channels().leave(self.id);
        self.held.shared.more.notify_one();
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let mut channels = self.held.shared.channels();
        let Some(channel) = channels.get(self.id) else {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionReset.into()));
        };
        let Some(read) = channel.read(room) else {
            channel.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        drop(channels);
        self.held.shared.more.notify_one();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let mut channels = self.held.shared.channels();
        let Some(channel) = channels.get(self.id) else {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        };
        let Some(written) = channel.write(bytes) else {
            channel.writer = Some(context.waker().clone());
            return Poll::Pending;
        };
        drop(channels);
        self.held.shared.more.notify_one();
        Poll::Ready(written)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut channels = self.held.shared.channels();
        let Some(channel) = channels.get(self.id) else {
            return Poll::Ready(Err(std::io::ErrorKind::BrokenPipe.into()));
        };
        let flushed = channel.flushed();
        if flushed.is_none() {
            channel.writer = Some(context.waker().clone());
        }
        flushed.map_or(Poll::Pending, Poll::Ready)
    }

    /// Done when the end is on its way, behind all that was written.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        let mut channels = self.held.shared.channels();
        let Some(channel) = channels.get(self.id) else { return Poll::Ready(Ok(())) };
        let ended = channel.end();
        if ended.is_none() {
            channel.writer = Some(context.waker().clone());
        }
        drop(channels);
        self.held.shared.more.notify_one();
        ended.map_or(Poll::Pending, Poll::Ready)
    }
}
