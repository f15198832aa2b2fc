//! The controller's API, as the guest comes to it: the very socket that was there before the machine was started.

use std::io;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, open};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::super::link::Stream;
use crate::api::controller::{ControllerAddress, Reach};

/// A controller on this node takes a connection at once, or not.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// Where connections of the guest's go.
#[derive(Debug)]
pub(super) enum Door {
    Unix(Reach),
    Web(String),
}

impl Door {
    pub(super) fn of(address: &ControllerAddress) -> io::Result<Self> {
        match address {
            ControllerAddress::Unix(path) => {
                let socket = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
                Ok(Self::Unix(Reach::opened(socket)))
            }
            ControllerAddress::Web(url) => {
                let host = url.host_str().ok_or(io::ErrorKind::InvalidInput)?;
                let port = url.port_or_known_default().ok_or(io::ErrorKind::InvalidInput)?;
                Ok(Self::Web(format!("{host}:{port}")))
            }
        }
    }

    /// Carries one connection, both ways, until both have ended.
    pub(super) async fn carry(&self, mut stream: Stream) -> io::Result<()> {
        match self {
            Self::Unix(reach) => {
                let mut near = timeout(TAKEN_WITHIN, UnixStream::connect(reach.as_path())).await??;
                copy_bidirectional(&mut stream, &mut near).await.map(drop)
            }
            Self::Web(address) => {
                let mut near = timeout(TAKEN_WITHIN, TcpStream::connect(address)).await??;
                copy_bidirectional(&mut stream, &mut near).await.map(drop)
            }
        }
    }
}
