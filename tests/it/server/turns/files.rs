//! The same with a registry of files, as `albatros dev` has it: one process, its own disk, and a new start.

use std::path::Path;
use std::time::Duration;

use albatros::api::http::{EndpointConfig, Service, Tls, forge_client};
use albatros::api::meter::Meter;
use albatros::api::nomad::Nomad as Client;
use albatros::dispatcher::{App, BlobSettings, Outside, Settings, serve};
use albatros::domain::config::{PeopleTokens, RepoConfig};
use albatros::engine::{Engine, NomadEngine};
use albatros::registry::{FileRegistry, Registry};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fake::delivery::{Delivery, REPO, commit};
use crate::fake::nomad::{Builder, Nomad};
use crate::fake::world::SECRET;

/// A server in this process.
struct Server {
    url: String,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(folder: &Path, nomad: &Nomad, config: &Value) -> Self {
        let config = RepoConfig::parse(config.to_string().as_bytes()).unwrap();
        let registry = FileRegistry::open(&folder.join("data"), vec![(REPO.parse().unwrap(), config)]).unwrap();
        let endpoint = EndpointConfig {
            service: Service::Nomad,
            address: nomad.url().parse().unwrap(),
            token: None,
            tls: Tls::default(),
            http_auth: None,
            query: Vec::new(),
        };
        let engine = Engine::Nomad(NomadEngine::new(Client::new(endpoint, "ci".to_owned()).unwrap()));
        let shutdown = CancellationToken::new();
        let outside =
            Outside { forge_client: forge_client(None).unwrap(), meter: Meter::default(), shutdown: shutdown.clone() };
        let app = App::new(settings(folder), engine, Registry::Files(registry), None, outside);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { url, shutdown, task: tokio::spawn(serve(app, listener)) }
    }

    async fn push(&self, n: u64) {
        let reply = Delivery::push("main", &commit(n - 1), &commit(n)).send(&self.url, SECRET).await;
        assert!(reply.status == 202 && reply.text.contains("waiting for its turn"), "{}", reply.text);
    }

    async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

fn settings(folder: &Path) -> Settings {
    Settings {
        nomad_ui: None,
        url: None,
        namespace: "ci".to_owned(),
        region: "global".to_owned(),
        prefix: "albatros".to_owned(),
        body_limit: 1 << 20,
        queue_limit: Duration::from_secs(3_600),
        unknown_limit: Duration::from_secs(600),
        runners_every: Duration::from_secs(30),
        loopback: None,
        spool: folder.to_owned(),
        blobs: BlobSettings::default(),
        people: PeopleTokens::default(),
    }
}

#[tokio::test]
async fn a_limit_holds_and_a_new_start_forgets_none() {
    let (room, nomad) = (tempfile::tempdir().unwrap(), Nomad::start().await);
    nomad.register(&Builder::plain("builder"));
    let config = json!({"hook": {"secret": SECRET}, "concurrency": {"max": 1}});
    let first = Server::start(room.path(), &nomad, &config).await;
    for n in 2..5 {
        first.push(n).await;
    }
    nomad.child("builder", 1).await;
    first.stop().await;
    let second = Server::start(room.path(), &nomad, &config).await;
    for n in 0..3 {
        let build = nomad.child("builder", n + 1).await;
        assert_eq!(nomad.dispatches(), n as u64 + 1, "one at a time");
        assert_eq!(nomad.job(&build)["Meta"]["COMMIT"], commit(n as u64 + 2), "in order");
        nomad.run(&build);
        nomad.exit(&build, 0);
    }
    second.stop().await;
}
