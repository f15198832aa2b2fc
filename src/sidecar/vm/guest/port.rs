//! The machine's end of the link: a virtio-serial port.

use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::error::{GuestError, doing};
use super::kernel::{entry_where, wait_for};

/// What the host has named it.
const NAME: &str = "albatros";
/// A port reads as ended until the host's side of it is there, which the kernel learns a moment later.
const HOST_WITHIN: Duration = Duration::from_secs(20);
/// Between two looks whether it is.
const LOOK: Duration = Duration::from_millis(2);

/// The open port. Never blocking: the kernel would spin for as long as the host takes nothing.
#[derive(Debug)]
pub(super) struct Port {
    file: AsyncFd<OwnedFd>,
    /// Until when its end is none.
    early: Option<Instant>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Port {
    /// Waits for the port, and opens it.
    pub(super) async fn open() -> Result<Self, GuestError> {
        let port = || entry_where("/sys/class/virtio-ports", "name", NAME);
        let path = format!("/dev/{}", wait_for("virtio-serial port named albatros", port).await?);
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = wait_for("device of its virtio-serial port", || open(&path, flags, Mode::empty()).ok()).await?;
        let file = watch(file).map_err(doing("watching the virtio-serial port"))?;
        Ok(Self { file, early: Some(Instant::now() + HOST_WITHIN), pause: None })
    }
}

#[expect(
    deprecated,
    reason = "what comes after it is unsafe to call; this descriptor is owned here and never replaced"
)]
fn watch(file: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(file)
}

impl AsyncRead for Port {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, room: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if let Some(pause) = &mut this.pause {
                ready!(pause.as_mut().poll(context));
                this.pause = None;
            }
            // The port says that the host has hung up until it is there, so it is read and not waited for.
            let mut guard = match this.early {
                Some(_) => None,
                None => Some(ready!(this.file.poll_read_ready(context))?),
            };
            let read = rustix::io::read(this.file.get_ref(), room.initialize_unfilled());
            match (read.map_err(io::Error::from), this.early) {
                (Ok(0), Some(until)) if Instant::now() < until => {
                    this.pause = Some(Box::pin(sleep(LOOK)));
                }
                (Ok(size), _) => {
                    this.early = None;
                    room.advance(size);
                    return Poll::Ready(Ok(()));
                }
                (Err(error), _) if error.kind() == ErrorKind::WouldBlock => {
                    // The host is there.
                    this.early = None;
                    if let Some(guard) = &mut guard {
                        guard.clear_ready();
                    }
                }
                (Err(error), _) if error.kind() == ErrorKind::Interrupted => {}
                (Err(error), _) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Port {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.file.poll_write_ready(context))?;
            match rustix::io::write(self.file.get_ref(), bytes).map_err(io::Error::from) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
