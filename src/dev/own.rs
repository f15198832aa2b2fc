//! The server of a `run`: on a port of this machine that nobody is told, with all that it keeps in the run's room.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::RunSettings;
use super::delivery::SENDER;
use super::places::Places;
use crate::api::http::{EndpointError, local_client};
use crate::api::meter::Meter;
use crate::api::store::{Store, StoreError, StoreSettings};
use crate::dispatcher::{self, App, Outside, SharedApp};
use crate::domain::config::{ConfigError, RepoConfig};
use crate::domain::duration::Span;
use crate::domain::id::ClaimId;
use crate::domain::repo_url::RepoUrlError;
use crate::engine::{Engine, LocalEngine, LocalError, LocalSettings, LocalSource};
use crate::registry::{FileRegistry, FilesError, Registry};

/// The builder's name: the first half of a run's id.
const BUILDER: &str = "run";
/// How long the record of an ended build may take to be written where later runs look for it.
const RECORD_WITHIN: Duration = Duration::from_secs(5);
/// How often the store is looked through, and how long that may take.
const TIDY_EVERY: Duration = Duration::from_secs(24 * 3_600);
const TIDY_WITHIN: Duration = Duration::from_secs(10);
/// The most that is kept of one working copy, unless ALBATROS_STORE_SIZE says otherwise.
const STORE_MOST: u64 = 10 << 30;
/// Between two looks for it.
const LOOK: Duration = Duration::from_millis(5);
/// How long the server may take to end its connections.
const CLOSING: Duration = Duration::from_secs(3);

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is no port.
    #[error("no port of this machine can be listened on")]
    Listen(#[source] io::Error),
    /// Builds cannot be run there.
    #[error(transparent)]
    Engine(#[from] LocalError),
    /// The configuration that we made ourselves is not one.
    #[error("the working copy cannot be configured")]
    Config(#[from] ConfigError),
    /// The address that we made ourselves is not one.
    #[error("the working copy has no address")]
    Address(#[from] RepoUrlError),
    /// Claims cannot be kept there.
    #[error("the temporary directory cannot be used for claims")]
    Registry(#[from] FilesError),
    /// No client could be made.
    #[error("no connection can be made")]
    Client(#[from] EndpointError),
    /// What builds leave cannot be kept.
    #[error("there is no place for artifacts and caches")]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error("there are no random bytes")]
    Random(#[source] io::Error),
}

/// A server that runs.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) app: SharedApp,
    task: JoinHandle<()>,
}

impl Server {
    /// A server of one repository, by its address.
    pub(super) async fn start(
        settings: &RunSettings,
        places: &Places,
        (address, source): (&str, LocalSource),
    ) -> Result<Self, ServerError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(ServerError::Listen)?;
        let at = listener.local_addr().map_err(ServerError::Listen)?;
        let mut dispatcher = settings.dispatcher.clone();
        dispatcher.loopback = loopback(at);
        dispatcher.blobs.size.get_or_insert(STORE_MOST);
        dispatcher.namespace = "local".to_owned();
        dispatcher.spool.clone_from(&places.room);
        let engine = LocalEngine::open(LocalSettings {
            data: places.room.clone(),
            program: settings.machine.program.clone(),
            builds: 1,
            jobs: settings.machine.builds,
            path: settings.machine.path.clone(),
            script_path: settings.machine.script_path.clone(),
            container_vars: settings.machine.container_vars.clone(),
            git_vars: Vec::new(),
            namespace: dispatcher.namespace.clone(),
            keep: Some(places.keep.clone()),
            sources: BTreeMap::from([(address.to_owned(), source)]),
        })?;
        let configs = vec![(address.parse()?, config(settings)?)];
        let registry = FileRegistry::open(&places.room.join("registry"), configs)?;
        let store = Store::open(&StoreSettings::files(places.store.clone()))?;
        // There is no forge: nothing is ever asked with it.
        let forges = local_client(None)?;
        let (engine, registry) = (Engine::Local(engine), Registry::Files(registry));
        let outside = Outside { forge_client: forges, meter: Meter::default(), shutdown: CancellationToken::new() };
        let app = App::new(dispatcher, engine, registry, Some(store), outside);
        let task = tokio::spawn(dispatcher::serve(SharedApp::clone(&app), listener));
        Ok(Self { app, task })
    }

    /// Ends it, once it has written down what there is to know of the build, and all jobs are over. What was kept stays.
    pub(super) async fn end(self, claim: &ClaimId, places: &Places) -> Option<Store> {
        let deadline = Instant::now() + RECORD_WITHIN;
        while matches!(self.app.registry.open(claim).await, Ok(Some(_))) {
            if Instant::now() > deadline {
                tracing::warn!("the build's end could not be written down");
                break;
            }
            sleep(LOOK).await;
        }
        if let Engine::Local(engine) = &self.app.engine {
            engine.end_all().await;
        }
        self.tidy(&places.store).await;
        self.app.shutdown();
        // Connections that do not end by then end with the process.
        let _ = tokio::time::timeout(CLOSING, self.task).await;
        self.app.store.clone()
    }
}

impl Server {
    /// Once a day what is old is taken from the store, which no server watches in between.
    async fn tidy(&self, store: &Path) {
        let mark = store.with_extension("tidied");
        let done = std::fs::metadata(&mark).and_then(|file| file.modified());
        if done.is_ok_and(|at| at.elapsed().is_ok_and(|age| age < TIDY_EVERY)) {
            return;
        }
        match tokio::time::timeout(TIDY_WITHIN, dispatcher::tidy(&self.app)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "what is old could not be taken from the store"),
            Err(_elapsed) => tracing::warn!("what is old is not all taken from the store yet"),
        }
        if let Err(error) = std::fs::write(&mark, "") {
            tracing::warn!(%error, "{} cannot be written", mark.display());
        }
    }
}

fn loopback(at: SocketAddr) -> Option<Url> {
    Url::parse(&format!("http://{at}")).ok()
}

fn config(settings: &RunSettings) -> Result<RepoConfig, ServerError> {
    let mut secret = [0_u8; 32];
    getrandom::fill(&mut secret).map_err(|error| ServerError::Random(io::Error::other(error)))?;
    let config = json!({
        "hook": { "secret": hex::encode(secret) },
        "trusted": { "senders": [SENDER] },
        "builders": { "default": BUILDER },
        "private": true,
    });
    let mut config = RepoConfig::parse(config.to_string().as_bytes())?;
    config.timeout = Span::seconds(settings.timeout.as_secs());
    config.inject.clone_from(&settings.inject);
    Ok(config)
}
