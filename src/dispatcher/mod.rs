//! Role `serve`: webhooks in, dispatch, statuses out, log tails.
//!
//! `routes` has all of the HTTP surface on one screen, `hook` the way of a delivery, `follower` what goes on
//! behind it, `logs` the tails.

mod access;
mod acts;
mod answer;
mod approvals;
mod archive;
mod audit;
mod badge;
mod bin;
mod blobs;
mod body;
mod builds;
mod changes;
mod claim;
mod dispatch;
mod ended;
mod events;
mod fields;
mod follower;
mod form;
mod health;
mod held;
mod history;
mod hook;
mod known;
mod listen;
mod logs;
mod metrics;
mod on_ref;
mod openapi;
mod own;
mod pages;
mod people;
mod refusals;
mod retry;
mod routes;
mod runners;
mod session;
mod shared;
mod signin;
mod start;
mod tested;
mod trigger;
mod verdict;
mod view;
mod waits;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::api::forge::ForgeClient;
use crate::api::meter::Meter;
use crate::api::store::Store;
use crate::domain::config::PeopleTokens;
use crate::domain::described::Document;
use crate::domain::plan::Site;
use crate::engine::Engine;
use crate::registry::Registry;

pub use blobs::BlobSettings;
pub use own::{OwnError, build as build_own, tidy};

use archive::Archives;
use badge::Badges;
use blobs::Blobs;
use body::Bodies;
use changes::Changes;
use events::Events;
use health::Readiness;
use known::KnownBuilds;
use logs::LogHub;
use metrics::Metrics;
use refusals::Refusals;
use session::Sessions;
use signin::Guesses;
use tested::Tests;

/// What `serve` was told, after parsing; `cli::settings` makes it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `ALBATROS_URL`: the public address for links, without a trailing slash.
    pub url: Option<Url>,
    /// `ALBATROS_NOMAD_UI`: where people see Nomad's own pages; none: nothing links to them.
    pub nomad_ui: Option<Url>,
    /// `ALBATROS_NAMESPACE`: Nomad's namespace for builds.
    pub namespace: String,
    /// `NOMAD_REGION`, else `global`.
    pub region: String,
    /// `ALBATROS_PREFIX`.
    pub prefix: String,
    /// `ALBATROS_BODY_LIMIT`, bytes.
    pub body_limit: usize,
    /// `ALBATROS_QUEUE_LIMIT`.
    pub queue_limit: Duration,
    /// `ALBATROS_UNKNOWN_LIMIT`.
    pub unknown_limit: Duration,
    /// `ALBATROS_RUNNERS_EVERY`.
    pub runners_every: Duration,
    /// Where builds on this machine reach this server; none where they run elsewhere. Never a public address.
    pub loopback: Option<Url>,
    /// Where logs are spooled while they are read, and the program that builds fetch.
    pub spool: PathBuf,
    /// What of a build is kept, and for how long.
    pub blobs: BlobSettings,
    /// Bearers of the instance itself (`dev` makes one up); repositories have their own.
    pub people: PeopleTokens,
}

/// Everything a handler or the follower works with.
#[derive(Debug)]
pub struct App {
    /// What was told.
    pub settings: Settings,
    /// Where builds run.
    pub engine: Engine,
    /// Where repositories and claims are.
    pub registry: Registry,
    /// Where artifacts, caches, logs and the history are kept, if anywhere.
    pub store: Option<Store>,
    /// For forges: no credentials of ours but the repository's.
    pub forge_client: ForgeClient,
    pub(crate) metrics: Metrics,
    pub(crate) known: KnownBuilds,
    pub(crate) logs: LogHub,
    pub(crate) readiness: Readiness,
    pub(crate) bodies: Bodies,
    pub(crate) refusals: Refusals,
    pub(crate) guesses: Guesses,
    pub(crate) badges: Badges,
    pub(crate) archives: Arc<Archives>,
    pub(crate) sessions: Sessions,
    pub(crate) blobs: Blobs,
    pub(crate) turns: history::Turns,
    pub(crate) changes: Changes,
    pub(crate) events: Events,
    pub(crate) tests: Tests,
    pub(crate) document: OnceLock<Document>,
    /// Cancelled when the server stops: log readers end, the follower gives its lock back.
    pub(crate) shutdown: CancellationToken,
}

/// What an [`App`] is given of the world around it.
#[derive(Debug)]
pub struct Outside {
    /// For forges.
    pub forge_client: reqwest::Client,
    /// What measures the clients of Nomad and Consul; those of forges and the store are measured by it too.
    pub meter: Meter,
    /// Cancelled when the server is to stop.
    pub shutdown: CancellationToken,
}

/// Shared by all tasks of a server.
pub type SharedApp = Arc<App>;

impl App {
    /// Puts the pieces together; nothing runs yet.
    #[must_use]
    pub fn new(
        settings: Settings,
        engine: Engine,
        registry: Registry,
        store: Option<Store>,
        outside: Outside,
    ) -> SharedApp {
        let Outside { forge_client, meter, shutdown } = outside;
        let logs = LogHub::new(settings.spool.clone(), shutdown.clone());
        let archives = Archives::new(settings.spool.clone());
        Arc::new(Self {
            settings,
            engine,
            registry,
            store: store.map(|store| store.metered(meter.clone())),
            forge_client: ForgeClient::from(forge_client).metered(meter.clone()),
            metrics: Metrics::new(&meter),
            known: KnownBuilds::default(),
            logs,
            readiness: Readiness::default(),
            bodies: Bodies::default(),
            refusals: Refusals::default(),
            guesses: Guesses::default(),
            badges: Badges::default(),
            archives,
            sessions: Sessions::default(),
            blobs: Blobs::default(),
            turns: history::Turns::default(),
            changes: Changes::default(),
            events: Events::default(),
            tests: Tests::default(),
            document: OnceLock::new(),
            shutdown,
        })
    }

    /// Has the server end.
    pub fn shutdown(&self) {
        self.shutdown.cancel();
    }

    /// What a claim is made over beside the change itself.
    pub(crate) fn site(&self) -> Site {
        Site {
            prefix: self.settings.prefix.clone(),
            region: self.settings.region.clone(),
            namespace: self.settings.namespace.clone(),
        }
    }

    /// A link to a path of ours: absolute where `ALBATROS_URL` is set.
    pub(crate) fn link(&self, path: &str) -> String {
        match &self.settings.url {
            Some(base) => format!("{}{path}", base.as_str().trim_end_matches('/')),
            None => path.to_owned(),
        }
    }
}

/// Serves until the server's token is cancelled: the listener, and the follower beside it.
pub async fn serve(app: SharedApp, listener: TcpListener) {
    let follower = tokio::spawn(follower::run(SharedApp::clone(&app), app.shutdown.clone()));
    listen::listen(listener, routes::routes(SharedApp::clone(&app)), app.shutdown.clone()).await;
    if let Err(error) = follower.await {
        tracing::error!(%error, "the follower's task failed");
    }
}
