//! `albatros serve`

use clap::Args;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use super::exit::Exit;
use super::settings::{self, Overrides, ServeSettings, SettingsError};
use super::{complain, log};
use crate::api::consul::Consul;
use crate::api::http::{EndpointError, forge_client};
use crate::api::meter::Meter;
use crate::api::nomad::Nomad;
use crate::api::store::{Store, StoreError};
use crate::dispatcher::{self, App, Outside, SharedApp};
use crate::engine::{Engine, NomadEngine};
use crate::registry::{ConsulRegistry, Registry};

/// Each flag beats the variable that it names
#[derive(Debug, Default, Args)]
pub(crate) struct ServeArgs {
    /// Where to listen [ALBATROS_LISTEN, default 0.0.0.0:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The public address, for links [ALBATROS_URL]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Where people see Nomad's own pages, for links [ALBATROS_NOMAD_UI]
    #[arg(long, value_name = "URL")]
    nomad_ui: Option<String>,
    /// Nomad's namespace for builds [ALBATROS_NAMESPACE, default ci]
    #[arg(long)]
    namespace: Option<String>,
    /// Where Consul's keys begin [ALBATROS_PREFIX, default albatros]
    #[arg(long)]
    prefix: Option<String>,
    /// The largest delivery, in bytes [ALBATROS_BODY_LIMIT, default 8388608]
    #[arg(long, value_name = "BYTES")]
    body_limit: Option<String>,
    /// The longest a build may wait for room [ALBATROS_QUEUE_LIMIT, default 24h]
    #[arg(long, value_name = "DURATION")]
    queue_limit: Option<String>,
    /// The longest a node may be out of reach [ALBATROS_UNKNOWN_LIMIT, default 10m]
    #[arg(long, value_name = "DURATION")]
    unknown_limit: Option<String>,
    /// How often forges are asked which jobs wait for runners [ALBATROS_RUNNERS_EVERY, default 30s]
    #[arg(long, value_name = "DURATION")]
    runners_every: Option<String>,
    /// A folder for logs while they are read [ALBATROS_SPOOL, default TMPDIR]
    #[arg(long, value_name = "DIR")]
    spool: Option<String>,
    /// Where artifacts, caches and logs are kept: file:///folder or s3://bucket[/prefix] [ALBATROS_STORE]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// How long they are kept [ALBATROS_STORE_KEEP, default 30d]
    #[arg(long, value_name = "DURATION")]
    store_keep: Option<String>,
    /// The most that is kept, such as 500GiB [ALBATROS_STORE_SIZE, default no limit]
    #[arg(long, value_name = "SIZE")]
    store_size: Option<String>,
    /// An authority to trust for forges, beside the public ones [ALBATROS_FORGE_CACERT]
    #[arg(long, value_name = "FILE")]
    forge_cacert: Option<String>,
    /// How log lines are written: text, or json [ALBATROS_LOG_FORMAT, default text]
    #[arg(long, value_name = "FORMAT")]
    log_format: Option<String>,
}

impl From<ServeArgs> for Overrides {
    fn from(args: ServeArgs) -> Self {
        Self {
            listen: args.listen,
            url: args.url,
            nomad_ui: args.nomad_ui,
            namespace: args.namespace,
            prefix: args.prefix,
            body_limit: args.body_limit,
            queue_limit: args.queue_limit,
            unknown_limit: args.unknown_limit,
            runners_every: args.runners_every,
            spool: args.spool,
            store: args.store,
            store_keep: args.store_keep,
            store_size: args.store_size,
            forge_ca: args.forge_cacert,
        }
    }
}

/// Why the server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
enum ServeError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("a service cannot be used as it is configured")]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{address} cannot be listened on")]
    Listen { address: std::net::SocketAddr, source: std::io::Error },
    #[error("signals cannot be received")]
    Signals(#[source] std::io::Error),
}

pub(crate) async fn run(args: ServeArgs) -> Exit {
    if let Err(error) = log::start_server(args.log_format.as_deref(), &settings::process) {
        return complain(&error, Exit::Usage);
    }
    let told = match settings::serve(&args.into(), &settings::process) {
        Ok(told) => told,
        Err(error) => return complain(&ServeError::from(error), Exit::Usage),
    };
    match serve(told).await {
        Ok(()) => Exit::Success,
        Err(error @ (ServeError::Settings(_) | ServeError::Endpoint(_) | ServeError::Store(_))) => {
            complain(&error, Exit::Usage)
        }
        Err(error @ (ServeError::Listen { .. } | ServeError::Signals(_))) => complain(&error, Exit::Infra),
    }
}

async fn serve(told: ServeSettings) -> Result<(), ServeError> {
    let shutdown = CancellationToken::new();
    let app = assemble(&told, shutdown.clone())?;
    let address = told.listen;
    let listener = TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| ServeError::Listen { address, source })?;
    stop_on_signal(shutdown)?;
    tracing::info!("listening on {address}");
    dispatcher::serve(app, listener).await;
    Ok(())
}

fn assemble(told: &ServeSettings, shutdown: CancellationToken) -> Result<SharedApp, ServeError> {
    let settings = told.dispatcher.clone();
    let meter = Meter::default();
    let registry = ConsulRegistry::new(Consul::new(told.consul.clone())?.metered(meter.clone()), &settings.prefix);
    let nomad = Nomad::new(told.nomad.clone(), settings.namespace.clone())?.metered(meter.clone());
    let engine = Engine::Nomad(NomadEngine::new(nomad));
    let forges = forge_client(told.forge_ca.as_deref())?;
    let store = told.store.as_ref().map(Store::open).transpose()?;
    let outside = Outside { forge_client: forges, meter, shutdown };
    Ok(App::new(settings, engine, Registry::Consul(registry), store, outside))
}

/// SIGTERM and SIGINT end the server in order; a second one changes nothing.
fn stop_on_signal(shutdown: CancellationToken) -> Result<(), ServeError> {
    let mut term = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        shutdown.cancel();
    });
    Ok(())
}
