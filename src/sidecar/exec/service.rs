//! A service's port, for the controller beside it: each connection to a socket in the shared directory goes on to the port,
//! in whatever network the script is in.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags, chmodat, open, unlinkat};
use rustix::io::Errno;
use tokio::io::{AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::domain::runner::{SERVICE_READY, SERVICE_SOCKET};

/// Connections at once; the controller has a bound of its own.
const CONNECTIONS: usize = 64;
/// A service on the same loopback takes a connection at once, or not now.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// Out of file descriptors: wait a little instead of spinning.
const PAUSE: Duration = Duration::from_millis(50);

/// Carries connections for as long as it lives.
#[derive(Debug)]
pub(super) struct Relay(JoinHandle<()>);

impl Drop for Relay {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Relay {
    /// Makes the socket.
    pub(super) fn start(alloc_dir: &Path, port: u16) -> io::Result<Self> {
        Ok(Self(tokio::spawn(relay(socket(alloc_dir)?, port))))
    }
}

/// The socket that a service's controller connects to. What stands at its name goes, and nothing there is followed.
pub(in crate::sidecar) fn socket(alloc_dir: &Path) -> io::Result<UnixListener> {
    // Through the directory as it was opened: its path may be longer than a socket's address can hold.
    let dir = open(alloc_dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match unlinkat(&dir, SERVICE_SOCKET, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SERVICE_SOCKET}", dir.as_raw_fd()))?;
    // The controller may be another user than the one of the image.
    chmodat(&dir, SERVICE_SOCKET, Mode::from_raw_mode(0o666), AtFlags::empty())?;
    Ok(listener)
}

/// Whether a service can have this port of a loopback that others are on too: else they would be taken for it.
pub(super) fn check_free(port: u16) -> io::Result<()> {
    std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(drop)
}

async fn relay(listener: UnixListener, port: u16) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((near, _peer)) = listener.accept().await else {
            sleep(PAUSE).await;
            continue;
        };
        tokio::spawn(async move {
            let _place = place;
            // Who leaves early is none of our business.
            let _ = carry(near, port).await;
        });
    }
}

async fn carry(mut near: UnixStream, port: u16) -> io::Result<()> {
    let mut far = reach(port).await?;
    near.write_all(&[SERVICE_READY]).await?;
    copy_bidirectional(&mut near, &mut far).await.map(drop)
}

/// The port on either loopback.
async fn reach(port: u16) -> io::Result<TcpStream> {
    let four = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let six = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    let stream = match timeout(TAKEN_WITHIN, TcpStream::connect(four)).await? {
        Ok(stream) => stream,
        Err(_refused) => timeout(TAKEN_WITHIN, TcpStream::connect(six)).await??,
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}
