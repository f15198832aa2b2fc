//! A service of the build on this side's loopback.

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener as Bound};
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::super::super::exit::Exit;
use super::super::super::say;
use super::super::BuildError;
use super::watch::{Interrupts, Watch};
use crate::api::controller::{Controller, ControllerError};
use crate::domain::id::JobName;

/// Connections at once; the controller has the same bound.
const CONNECTIONS: usize = 64;
/// A service that is restarting, or not ready yet, is tried again for so long before a connection to it is closed.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub(super) struct ConnectArgs {
    /// The service
    name: JobName,
    /// The port to listen on; absent: the service's own, 0: any that is free
    port: Option<u16>,
    /// Standard input is the listener
    #[arg(long, hide = true, conflicts_with = "port")]
    listener: bool,
}

/// A port of this loopback.
pub(super) fn bind(port: u16) -> Result<Bound, BuildError> {
    let taken = |error| BuildError::Usage(format!("127.0.0.1:{port} cannot be listened on: {error}"));
    Bound::bind((Ipv4Addr::LOCALHOST, port)).map_err(taken)
}

/// Hands the listener to a process in the background, which ends with the service or with the build. It holds neither
/// output, so that `$(albatros job start …)` ends.
pub(super) fn leave_behind(name: &JobName, listener: Bound) -> Result<(), BuildError> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.args(["job", "connect", "--listener", name.as_str()]);
    command.stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn()?;
    Ok(())
}

/// `shared`: the service is on this very loopback, so that its own port needs nobody.
pub(super) async fn run(args: &ConnectArgs, controller: &Controller, shared: bool) -> Result<Exit, BuildError> {
    let listener = if args.listener {
        Bound::from(std::io::stdin().as_fd().try_clone_to_owned()?)
    } else {
        let port = match args.port {
            Some(port) => port,
            None => port(args, controller).await?,
        };
        if shared && port == self::port(args, controller).await? {
            writeln!(std::io::stdout(), "127.0.0.1:{port}")?;
            return wait(args, controller).await;
        }
        let listener = bind(port)?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        listener
    };
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut stops = Interrupts::listen()?;
    let mut watch = Watch::of(controller);
    tokio::select! {
        ended = ended(&mut watch, &args.name) => ended,
        () = carry_all(&listener, controller, &args.name) => Ok(Exit::Infra),
        exit = stops.next() => Ok(exit),
    }
}

/// Until the service has ended, or somebody has had enough.
async fn wait(args: &ConnectArgs, controller: &Controller) -> Result<Exit, BuildError> {
    let mut stops = Interrupts::listen()?;
    let mut watch = Watch::of(controller);
    tokio::select! {
        ended = ended(&mut watch, &args.name) => ended,
        exit = stops.next() => Ok(exit),
    }
}

async fn port(args: &ConnectArgs, controller: &Controller) -> Result<u16, BuildError> {
    let shown = controller.jobs(None).await?;
    let job = shown.jobs.into_iter().find(|job| job.name == args.name);
    let none = || BuildError::Usage(format!("this build has no service {}", args.name));
    job.and_then(|job| job.port).ok_or_else(none)
}

/// Until the service has ended, or the build.
async fn ended(watch: &mut Watch<'_>, name: &JobName) -> Result<Exit, BuildError> {
    loop {
        let shown = match watch.next().await {
            Ok(shown) => shown,
            Err(error) if error.status().is_some_and(|status| status.as_u16() == 410) => return Ok(Exit::Success),
            Err(error) => return Err(error.into()),
        };
        let job = shown.jobs.iter().find(|job| job.name == *name);
        let unknown = || BuildError::Usage(format!("this build has no job {name}"));
        let job = job.ok_or_else(unknown)?;
        if job.ended {
            say(&format!("albatros: the service {name} has ended: {}", job.words()));
            return Ok(Exit::Success);
        }
    }
}

async fn carry_all(listener: &TcpListener, controller: &Controller, name: &JobName) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let connections = futures_util::stream::FuturesUnordered::new();
    tokio::pin!(connections);
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        tokio::select! {
            (accepted, place) = accepted => match accepted {
                Ok((near, _peer)) => connections.push(async move {
                    let _place = place;
                    carry(near, controller, name).await;
                }),
                // Out of file descriptors: wait a little instead of spinning.
                Err(_error) => sleep(PAUSE).await,
            },
            Some(()) = futures_util::StreamExt::next(&mut connections) => {}
        }
    }
}

/// One connection, for as long as both sides have something to say.
async fn carry(mut near: TcpStream, controller: &Controller, name: &JobName) {
    match reach(controller, name).await {
        Ok(mut far) => {
            // Who leaves early is none of our business; a failure only costs time.
            let _ = near.set_nodelay(true);
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
        Err(error) => say(&format!("albatros: the service {name} takes no connection: {error}")),
    }
}

async fn reach(controller: &Controller, name: &JobName) -> Result<reqwest::Upgraded, ControllerError> {
    let end = Instant::now() + PATIENCE;
    loop {
        match controller.connect_job(name).await {
            Err(error) if error.waiting() && Instant::now() < end => sleep(PAUSE).await,
            answered => return answered,
        }
    }
}
