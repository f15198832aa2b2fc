//! Role `dev`: the server, with files for Consul and child processes for Nomad.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::copy::{CopyError, WorkingCopy, directory};
use super::home::Home;
use super::watch::Watch;
use super::{Machine, Terminal, address_of, delivery};
use crate::api::albatros::{Albatros, AlbatrosError};
use crate::api::http::{EndpointError, forge_client};
use crate::api::meter::Meter;
use crate::api::store::{Store, StoreError, StoreSettings};
use crate::dispatcher::{self, App, Outside, Settings, SharedApp};
use crate::domain::config::{ConfigError, PeopleTokens, RepoConfig};
use crate::domain::repo_url::{RepoUrl, RepoUrlError};
use crate::domain::secret::Secret;
use crate::engine::{Engine, LocalEngine, LocalError, LocalSettings, LocalSource};
use crate::registry::{FileRegistry, FilesError, Registry};

/// How long the server may take to end its connections.
const CLOSING: Duration = Duration::from_secs(3);
/// The exit code of an interrupted `--exit`.
const CANCELLED: u8 = 4;

/// What `dev` was told.
#[derive(Debug, Clone)]
pub struct DevSettings {
    /// The working copies.
    pub dirs: Vec<PathBuf>,
    /// Leave with the code of the first builds.
    pub exit: bool,
    /// State is kept here.
    pub data: PathBuf,
    /// Where to listen.
    pub listen: SocketAddr,
    /// As for `serve`.
    pub dispatcher: Settings,
    /// Where blobs are kept.
    pub store: StoreSettings,
    /// This machine.
    pub machine: Machine,
    /// Secrets for all builds.
    pub secrets: Option<Secret>,
}

/// Why `dev` did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The data directory cannot be used.
    #[error("{0} cannot be used as data directory")]
    Data(PathBuf, #[source] std::io::Error),
    /// A working copy cannot be used.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// Builds cannot be run there.
    #[error(transparent)]
    Engine(#[from] LocalError),
    /// Claims cannot be kept there.
    #[error("the data directory cannot be used for claims")]
    Registry(#[from] FilesError),
    /// Blobs cannot be kept there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration that we made ourselves is not one.
    #[error("a working copy cannot be configured")]
    Config(#[from] ConfigError),
    /// The address that we made ourselves is not one.
    #[error("a working copy has no address")]
    Address(#[from] RepoUrlError),
    /// No client could be made.
    #[error("no connection can be made")]
    Client(#[from] EndpointError),
    /// The server cannot be asked.
    #[error(transparent)]
    Server(#[from] AlbatrosError),
    /// Another process has the port, or it needs a right.
    #[error("{0} cannot be listened on: choose another with --listen")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// Signals cannot be received.
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
}

/// Serves the working copies until it is interrupted, or until their first builds are over with `exit`. Gives the exit
/// code.
///
/// # Errors
/// When it cannot start.
pub async fn dev(settings: DevSettings, terminal: Terminal) -> Result<u8, DevError> {
    let data = |error| DevError::Data(settings.data.clone(), error);
    let mut home = Home::open(&settings.data).map_err(data)?;
    let copies = copies(&settings, &mut home).await?;
    let listener =
        TcpListener::bind(settings.listen).await.map_err(|error| DevError::Listen(settings.listen, error))?;
    let address = listener.local_addr().map_err(|error| DevError::Listen(settings.listen, error))?;
    let base = base(address);
    let shutdown = CancellationToken::new();
    let app = assemble(&settings, &home, &copies, &base, &shutdown)?;
    let server = tokio::spawn(dispatcher::serve(app, listener));
    terminal.say(&format!("listening on {base}"));

    let prefixed = copies.len() > 1;
    let home = Arc::new(Mutex::new(home));
    let mut watches = JoinSet::new();
    for (name, copy) in copies {
        let watch = Watch::new(name, copy, &home, &base, terminal.clone())?;
        watches.spawn(watch.prefixed(prefixed).run(settings.exit));
    }
    let interrupted = interrupted()?;
    let code = tokio::select! {
        code = first_codes(watches) => code,
        () = interrupted => if settings.exit { CANCELLED } else { 0 },
    };
    shutdown.cancel();
    // Connections that do not end by then end with the process.
    let _ = tokio::time::timeout(CLOSING, server).await;
    Ok(code)
}

/// The working copies by name.
async fn copies(settings: &DevSettings, home: &mut Home) -> Result<Vec<(String, WorkingCopy)>, DevError> {
    let mut copies: Vec<(String, WorkingCopy)> = Vec::new();
    for dir in &settings.dirs {
        let dir = directory(dir)?;
        let name = home.name(&dir).map_err(|error| DevError::Data(settings.data.clone(), error))?;
        if copies.iter().any(|(known, _)| *known == name) {
            continue;
        }
        let snapshots = home.dir().join("snapshots").join(format!("{name}.git"));
        let copy = WorkingCopy::open(&dir, &settings.machine.path, &snapshots, home.dir()).await?;
        copies.push((name, copy));
    }
    Ok(copies)
}

/// The highest code of the first builds; never without `exit`.
async fn first_codes(mut watches: JoinSet<u8>) -> u8 {
    let mut code = 0;
    while let Some(one) = watches.join_next().await {
        code = code.max(one.unwrap_or(3));
    }
    code
}

/// How the server is reached from this machine.
fn base(address: SocketAddr) -> String {
    match address.ip() {
        ip if ip.is_unspecified() => format!("http://127.0.0.1:{}", address.port()),
        _ => format!("http://{address}"),
    }
}

fn assemble(
    settings: &DevSettings,
    home: &Home,
    copies: &[(String, WorkingCopy)],
    base: &str,
    shutdown: &CancellationToken,
) -> Result<SharedApp, DevError> {
    let mut dispatcher = settings.dispatcher.clone();
    dispatcher.url = dispatcher.url.or_else(|| Url::parse(base).ok());
    dispatcher.loopback = Url::parse(base).ok();
    dispatcher.people = PeopleTokens { read: Vec::new(), act: vec![home.token()] };
    let repository =
        |(name, copy): &(String, WorkingCopy)| (address_of(name), LocalSource::Repository(copy.git_dir().to_owned()));
    let engine = LocalEngine::open(local(settings, home, copies.iter().map(repository).collect()))?;
    let configs = copies
        .iter()
        .map(|(name, _)| Ok((address_of(name).parse::<RepoUrl>()?, config(settings, home, name)?)))
        .collect::<Result<Vec<_>, DevError>>()?;
    let registry = FileRegistry::open(&home.dir().join("registry"), configs)?;
    let forges = forge_client(None)?;
    let store = Some(Store::open(&settings.store)?);
    let outside = Outside { forge_client: forges, meter: Meter::default(), shutdown: shutdown.clone() };
    Ok(App::new(dispatcher, Engine::Local(engine), Registry::Files(registry), store, outside))
}

fn local(settings: &DevSettings, home: &Home, sources: BTreeMap<String, LocalSource>) -> LocalSettings {
    LocalSettings {
        data: home.dir().to_owned(),
        program: settings.machine.program.clone(),
        builds: settings.machine.builds,
        jobs: settings.machine.builds,
        path: settings.machine.path.clone(),
        script_path: settings.machine.script_path.clone(),
        container_vars: settings.machine.container_vars.clone(),
        git_vars: settings.machine.git_vars.clone(),
        namespace: settings.dispatcher.namespace.clone(),
        keep: Some(home.kept()),
        sources,
    }
}

fn config(settings: &DevSettings, home: &Home, name: &str) -> Result<RepoConfig, ConfigError> {
    let mut config = json!({
        "hook": { "secret": home.secret(name).expose() },
        "trusted": { "senders": [delivery::SENDER, "@trigger"] },
        "tokens": { "act": [home.token().expose()] },
        "private": false,
    });
    if let (Some(secrets), Some(config)) = (&settings.secrets, config.as_object_mut()) {
        config.insert("inject".to_owned(), json!(secrets.expose()));
    }
    RepoConfig::parse(config.to_string().as_bytes())
}

fn interrupted() -> Result<impl Future<Output = ()>, DevError> {
    let mut term = signal(SignalKind::terminate()).map_err(DevError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(DevError::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// A client of our own server.
pub(super) fn client(base: &str, token: Option<Secret>) -> Result<Albatros, DevError> {
    let base = Url::parse(base).map_err(|_error| AlbatrosError::Strange(base.to_owned()))?;
    Ok(Albatros::new(base, token, None)?)
}
