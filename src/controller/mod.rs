//! Role `controller`: the API that a build's script and its trusted tasks ask, each with a token of its own.
//!
//! `routes` has all of the HTTP surface on one screen; `session` is how the build comes by what it may have, `courier` how
//! its report goes back.

mod access;
mod answer;
mod blobs;
mod body;
mod build;
mod courier;
mod doors;
mod events;
mod exchange;
mod finish;
mod folder;
mod jobs;
mod junit;
mod log;
mod machine;
mod openapi;
mod params;
mod pieces;
mod report;
mod reports;
mod ring;
mod routes;
mod runner;
mod served;
mod session;
mod upstream;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::api::session::SessionServer;
use crate::domain::grant::{Facts, Grant};
use crate::domain::id::ClaimId;
use crate::domain::secret::Secret;

pub use doors::StartError;

use blobs::{Blobs, Saves};
use doors::{Doors, Tokens};
use folder::Folder;
use jobs::Jobs;
use log::Logs;
use machine::Declared;
use reports::Reports;
use ring::Ring;
use runner::Given;
use served::Served;
use session::Session;
use upstream::Upstream;

/// A report that has not been delivered by then stays behind: without a log to be archived the process must end within two
/// seconds of its signal.
const LAST_DELIVERY: Duration = Duration::from_secs(1);
/// The sidecar gets its signal at the same time, and reads the rest of the log then: a little longer than it takes for that
/// at most, and less than the `kill_timeout` of our builders.
const LAST_CHUNKS: Duration = Duration::from_secs(22);
/// Files of test results that are read at once.
const UPLOADS: usize = 2;

/// What `controller` was told, after parsing; `cli::settings` makes it.
#[derive(Debug)]
pub struct Settings {
    /// `NOMAD_ALLOC_DIR`: where the sockets and tokens go.
    pub alloc_dir: PathBuf,
    /// `NOMAD_JOB_ID`: the build.
    pub build: String,
    /// What the child's meta says of the build; good only as long as there is no session.
    pub facts: Facts,
    /// `ALBATROS_CONTROLLER_LISTEN`: the script's API over TCP as well.
    pub listen: Option<SocketAddr>,
    /// `NOMAD_HOST_ADDR_service`: where a service's connections come in, as others see `listen`; absent: `listen` itself.
    pub reached_at: Option<String>,
    /// `NOMAD_TASK_DIR`: where an upload waits whose size must be known before it is sent on.
    pub task_dir: Option<PathBuf>,
    /// Where the session comes from.
    pub source: Source,
}

/// Where a build's session comes from.
#[derive(Debug)]
pub enum Source {
    /// serve, asked with the task's identity.
    Server {
        /// serve.
        server: SessionServer,
        /// Which change this build is of.
        claim: ClaimId,
        /// The file of the task's identity, which Nomad renews.
        identity: PathBuf,
    },
    /// Handed over at the start, by the engine that started this process.
    Given {
        /// What the build may have.
        grant: Box<Grant>,
        /// serve, where the grant names a session at it.
        server: Option<SessionServer>,
    },
    /// Nowhere, and why.
    Nowhere(String),
}

/// How far the build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The script runs, or will.
    Running,
    /// The script has ended: its token is dead.
    Finished,
    /// The build is over: every token is dead.
    Ended,
}

/// Everything a handler works with; only an extractor that has seen a token hands it out.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) build: String,
    pub(crate) facts: Facts,
    pub(crate) tokens: Tokens,
    pub(crate) folder: Folder,
    /// serve, for a build that has or may get a session there.
    pub(crate) upstream: Option<Upstream>,
    pub(crate) session: watch::Sender<Session>,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) attached: watch::Sender<bool>,
    pub(crate) events: Ring,
    pub(crate) reports: Reports,
    pub(crate) logs: Logs,
    pub(crate) machine: Declared,
    pub(crate) uploads: Arc<Semaphore>,
    pub(crate) jobs: Jobs,
    pub(crate) blobs: Blobs,
    pub(crate) saves: Saves,
    pub(crate) runner: Given,
    pub(crate) served: Served,
}

/// Shared by all tasks of a controller.
pub(crate) type SharedApp = Arc<App>;

/// Serves a build's API until `shutdown`, and for two seconds more at most; longer only where the rest of a log is to be
/// archived.
///
/// # Errors
/// When the sockets or tokens cannot be made.
pub async fn run(settings: Settings, shutdown: CancellationToken) -> Result<(), StartError> {
    let doors = Doors::open(&settings)?;
    let secret = Secret::new(doors::random()?);
    let app = Arc::new(App {
        build: settings.build,
        facts: settings.facts,
        tokens: doors.tokens.clone(),
        folder: doors.folder,
        upstream: Upstream::of(&settings.source, &secret),
        session: watch::channel(Session::Waiting).0,
        phase: watch::channel(Phase::Running).0,
        attached: watch::channel(false).0,
        events: Ring::default(),
        reports: Reports::default(),
        logs: Logs::default(),
        machine: Declared::default(),
        uploads: Arc::new(Semaphore::new(UPLOADS)),
        jobs: Jobs::default(),
        blobs: Blobs::new(settings.task_dir),
        saves: Saves::default(),
        runner: Given::default(),
        served: Served::default(),
    });
    let stop = CancellationToken::new();
    let service = doors.entrances.port().map(|port| settings.reached_at.unwrap_or_else(|| port.to_string()));
    let listening = doors.entrances.listen(&app, &stop);
    let keeping = tokio::spawn(jobs::keep(Arc::clone(&app)));
    let announcing = tokio::spawn(jobs::announce(Arc::clone(&app), service));
    let deciding = tokio::spawn(exchange::decide(Arc::clone(&app), settings.source, secret));
    let delivering = tokio::spawn(courier::run(Arc::clone(&app)));
    shutdown.cancelled().await;
    app.phase.send_modify(|phase| *phase = (*phase).max(Phase::Finished));
    if !app.logs.kept(LAST_CHUNKS).await {
        tracing::warn!("the end of the log could not be archived in time");
    }
    app.phase.send_replace(Phase::Ended);
    for task in [deciding, keeping, announcing] {
        task.abort();
    }
    app.reports.delivered(LAST_DELIVERY).await;
    delivering.abort();
    stop.cancel();
    listening.wait().await;
    app.served.log();
    Ok(())
}
