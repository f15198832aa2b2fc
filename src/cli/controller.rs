//! `albatros controller`

use std::io::Read as _;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::complain;
use super::exit::Exit;
use super::settings::{self, Environment, SessionSettings, SettingsError};
use crate::api::http::EndpointError;
use crate::api::session::SessionServer;
use crate::controller::{self, Settings, Source, StartError};
use crate::domain::grant::Grant;
use crate::domain::runner::Ended;

/// A grant is a configuration's parameters and a little more.
const GRANT_MOST: u64 = 4 << 20;

/// Everything is read from the environment that Nomad and the builder give to the task.
#[derive(Debug, Args)]
pub(crate) struct ControllerArgs {
    /// Read what the build may have from standard input, instead of asking a server
    #[arg(long, hide = true)]
    grant_stdin: bool,
}

/// Why a controller did not start.
#[derive(Debug, thiserror::Error)]
enum ControllerError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the server cannot be asked")]
    Server(#[from] EndpointError),
    #[error("standard input cannot be read")]
    Input(#[source] std::io::Error),
    // Without its cause: that may quote what stands there.
    #[error("standard input holds no grant")]
    Grant,
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
    #[error(transparent)]
    Start(#[from] StartError),
}

impl ControllerArgs {
    /// Serves a build's API until the build is over.
    pub(crate) async fn run(self, environment: Environment<'_>) -> Exit {
        match self.serve(environment).await {
            Ok(()) => Exit::Success,
            Err(error @ ControllerError::Signals(_)) => complain(&error, Exit::Infra),
            Err(error) => complain(&error, Exit::Code(Ended::WrongSettings.code())),
        }
    }

    async fn serve(self, environment: Environment<'_>) -> Result<(), ControllerError> {
        // A sibling under the same user could otherwise read secrets from /proc. Where the system does not know that, the
        // build runs all the same.
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
        let shutdown = CancellationToken::new();
        stop_on_signal(shutdown.clone()).map_err(ControllerError::Signals)?;
        let told = settings::controller(environment)?;
        let source = if self.grant_stdin { given()? } else { asked(told.session)? };
        let settings = Settings {
            alloc_dir: told.alloc_dir,
            build: told.build,
            facts: told.facts,
            listen: told.listen,
            reached_at: told.reached_at,
            task_dir: told.task_dir,
            source,
        };
        Ok(controller::run(settings, shutdown).await?)
    }
}

/// What the engine handed over; nothing at all means a build without a session.
fn given() -> Result<Source, ControllerError> {
    let mut bytes = Vec::new();
    std::io::stdin().lock().take(GRANT_MOST).read_to_end(&mut bytes).map_err(ControllerError::Input)?;
    if bytes.trim_ascii().is_empty() {
        return Ok(Source::Nowhere("nothing was given to this build".to_owned()));
    }
    let grant = Grant::from_wire(&bytes).map_err(|_quotes_it| ControllerError::Grant)?;
    let server = grant.session.as_ref().map(|session| SessionServer::new(session.server.clone(), None));
    Ok(Source::Given { grant: Box::new(grant), server: server.transpose()? })
}

fn asked(session: Result<SessionSettings, &'static str>) -> Result<Source, ControllerError> {
    let told = match session {
        Ok(told) => told,
        Err(reason) => return Ok(Source::Nowhere(reason.to_owned())),
    };
    let server = SessionServer::new(told.server, told.ca.as_deref())?;
    Ok(Source::Server { server, claim: told.claim, identity: told.identity })
}

fn stop_on_signal(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        shutdown.cancel();
    });
    Ok(())
}
