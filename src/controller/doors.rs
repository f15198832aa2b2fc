//! Where the script and the trusted tasks come in: two sockets, perhaps a port, and the tokens beside them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::access::{Door, Right};
use super::folder::{Folder, PRIVATE, READABLE, SHARED};
use super::{Settings, SharedApp, routes};
use crate::domain::runner::{SOCKET, TOKEN, TRUSTED_SOCKET, TRUSTED_TOKEN};
use crate::domain::secret::Secret;
use crate::listen::{Entrance, Limits, listen};

/// A script is on this machine: it sends its headers at once, and takes what it asked for.
const SCRIPT: Limits = Limits {
    headers_within: Duration::from_secs(10),
    taken_within: Duration::from_secs(30),
    connections: 128,
    // An artifact goes through in pieces of this; with all connections full it is 16 MiB.
    buffer: Some(128 * 1024),
    drain: Duration::from_millis(400),
};
/// Few ask here, and those are ours.
const TRUSTED: Limits = Limits { connections: 16, ..SCRIPT };

/// Why a controller could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The build's shared directory cannot be opened.
    #[error("{path} cannot be opened: NOMAD_ALLOC_DIR must be the build's shared directory")]
    Folder {
        /// Where it should be.
        path: PathBuf,
        /// The reason.
        source: std::io::Error,
    },
    /// A socket or a token cannot be put there.
    #[error("{name} cannot be made in NOMAD_ALLOC_DIR")]
    File {
        /// Its name.
        name: &'static str,
        /// The reason.
        source: std::io::Error,
    },
    /// The port is taken, or not ours to take.
    #[error("{address} cannot be listened on (ALBATROS_CONTROLLER_LISTEN)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: std::io::Error,
    },
    /// No random numbers.
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
}

/// What a request may show.
#[derive(Debug, Clone)]
pub(crate) struct Tokens {
    pub(super) script: Secret,
    pub(super) trusted: Secret,
}

/// Everything that is there before the first request.
#[derive(Debug)]
pub(super) struct Doors {
    pub(super) folder: Folder,
    pub(super) tokens: Tokens,
    pub(super) entrances: Entrances,
}

/// Bound, and not answering yet: who connects waits in the kernel's queue.
#[derive(Debug)]
pub(super) struct Entrances {
    script: Vec<Entrance>,
    trusted: Entrance,
}

impl Doors {
    /// Binds the sockets and writes the tokens. Whoever finds the trusted token finds all the rest.
    pub(super) fn open(settings: &Settings) -> Result<Self, StartError> {
        let path = settings.alloc_dir.clone();
        let folder = Folder::open(&path).map_err(|source| StartError::Folder { path, source })?;
        let file = |name| move |source| StartError::File { name, source };
        let tokens = Tokens { script: Secret::new(random()?), trusted: Secret::new(random()?) };
        let trusted = folder.bind(TRUSTED_SOCKET, PRIVATE).map_err(file(TRUSTED_SOCKET))?;
        let socket = folder.bind(SOCKET, SHARED).map_err(file(SOCKET))?;
        let mut script = vec![Entrance::Unix(socket)];
        if let Some(address) = settings.listen {
            script.push(Entrance::Tcp(port(address).map_err(|source| StartError::Listen { address, source })?));
        }
        folder.write(TOKEN, READABLE, tokens.script.expose()).map_err(file(TOKEN))?;
        folder.write(TRUSTED_TOKEN, PRIVATE, tokens.trusted.expose()).map_err(file(TRUSTED_TOKEN))?;
        Ok(Self { folder, tokens, entrances: Entrances { script, trusted: Entrance::Unix(trusted) } })
    }
}

fn port(address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    tracing::info!("the script's API listens on {}", listener.local_addr()?);
    Ok(listener)
}

/// 32 random bytes, in hexadecimal digits.
pub(super) fn random() -> Result<String, StartError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(StartError::Random)?;
    Ok(hex::encode(bytes))
}

impl Entrances {
    /// The port, where there is one.
    pub(super) fn port(&self) -> Option<SocketAddr> {
        self.script.iter().find_map(|entrance| match entrance {
            Entrance::Tcp(listener) => listener.local_addr().ok(),
            Entrance::Unix(_) => None,
        })
    }

    /// Answers at each entrance, on a task of its own, until `stop`.
    pub(super) fn listen(self, app: &SharedApp, stop: &CancellationToken) -> TaskTracker {
        let tasks = TaskTracker::new();
        for entrance in self.script {
            let door = Door::new(Arc::clone(app), Right::Script);
            let router = match &entrance {
                Entrance::Tcp(_) => routes::of_port(door),
                Entrance::Unix(_) => routes::routes(door),
            };
            tasks.spawn(listen(entrance, router, SCRIPT, stop.clone()));
        }
        let router = routes::routes(Door::new(Arc::clone(app), Right::Trusted));
        tasks.spawn(listen(self.trusted, router, TRUSTED, stop.clone()));
        tasks.close();
        tasks
    }
}
