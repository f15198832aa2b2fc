//! What builds leave at the server and take from it, with a store of files.

mod apart;
mod broken;
mod chosen;
mod kept;
mod people;
mod trouble;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::session::{exchange, named, secret};
use crate::fake::delivery::{Delivery, commit};
use crate::fake::http::{Reply, client};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::World;

/// A server with a store, and repositories that are built.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) serve: Serve,
    root: tempfile::TempDir,
}

/// A build with a session.
#[derive(Debug, Clone)]
pub(super) struct Build {
    pub(super) id: String,
    pub(super) claim: String,
    pub(super) secret: String,
}

impl Stage {
    pub(super) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With more settings.
    pub(super) async fn with(settings: &[(&str, &str)]) -> Self {
        let (world, root) = (World::new().await, tempfile::tempdir().unwrap());
        world.nomad.register(&Builder::full("builder"));
        world.set("ALBATROS_STORE", &format!("file://{}", root.path().join("store").display()));
        for (name, value) in settings {
            world.set(name, value);
        }
        let serve = world.serve().await;
        Self { world, serve, root }
    }

    /// The folder of the store.
    pub(super) fn folder(&self) -> PathBuf {
        self.root.path().join("store")
    }

    /// Every file of the store, by its name below it.
    pub(super) fn files(&self) -> Vec<String> {
        let mut found = Vec::new();
        files(&self.folder(), &mut found);
        let below = |path: &PathBuf| path.strip_prefix(self.folder()).unwrap().display().to_string();
        let mut names: Vec<String> = found.iter().map(below).filter(|name| name != "ready").collect();
        names.sort();
        names
    }

    /// A trusted build of `main`, with its session.
    pub(super) async fn build(&self, n: u64) -> Build {
        self.built(&Delivery::push("main", &commit(n - 1), &commit(n)), n).await
    }

    /// The build of a delivery of commit `n`, with its session.
    pub(super) async fn built(&self, delivery: &Delivery, n: u64) -> Build {
        let url = delivery.body["repository"]["clone_url"].as_str().unwrap().trim_end_matches(".git");
        let repo: Vec<&str> = url.rsplitn(3, '/').take(2).collect();
        let branch = delivery.body["ref"].as_str().unwrap().trim_start_matches("refs/heads/");
        self.world.forge.push(&format!("{}/{}", repo[1], repo[0]), branch, &commit(n));
        let id = self.world.build_by(&self.serve, delivery).await;
        self.world.nomad.place(&id);
        named(&self.world, &id).await;
        let claim = self.world.nomad.job(&id)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned();
        let (secret, token) = (secret(), self.world.nomad.sign(&self.world.nomad.claims(&id)));
        let granted = exchange(&self.serve, &token, &claim, &secret).await;
        assert_eq!(granted.status, 200, "{}", granted.text);
        Build { id, claim, secret }
    }

    /// A build asks.
    pub(super) async fn ask(&self, build: &Build, method: &str, path: &str, body: Vec<u8>) -> Reply {
        let url = format!("{}/session/{}/{path}", self.serve.url, build.claim);
        let request = client().request(method.parse().unwrap(), url).bearer_auth(&build.secret).body(body);
        Reply::read(request.send().await.unwrap()).await
    }

    pub(super) async fn get(&self, build: &Build, path: &str) -> Reply {
        self.ask(build, "GET", path, Vec::new()).await
    }

    /// Begins an upload; its name.
    pub(super) async fn begin(&self, build: &Build, path: &str) -> String {
        let begun = self.ask(build, "POST", path, b"{}".to_vec()).await;
        assert_eq!(begun.status, 201, "{}", begun.text);
        assert_eq!(begun.value()["url"], Value::Null, "files are sent to the server");
        begun.value()["upload"].as_str().unwrap().to_owned()
    }

    pub(super) async fn send(&self, build: &Build, upload: &str, bytes: &[u8]) -> Reply {
        self.ask(build, "PUT", &format!("uploads/{upload}"), bytes.to_vec()).await
    }

    pub(super) async fn commit(&self, build: &Build, path: &str, told: &Value) -> Reply {
        self.ask(build, "POST", &format!("{path}/commit"), told.to_string().into_bytes()).await
    }

    /// Puts a blob as it should be.
    pub(super) async fn put(&self, build: &Build, path: &str, bytes: &[u8]) -> Value {
        let upload = self.begin(build, path).await;
        assert_eq!(self.send(build, &upload, bytes).await.status, 204);
        let kept = self.commit(build, path, &told(&upload, bytes)).await;
        assert_eq!(kept.status, 201, "{}", kept.text);
        kept.value()
    }
}

/// What is said of a file that was sent.
pub(super) fn told(upload: &str, bytes: &[u8]) -> Value {
    json!({"upload": upload, "size": bytes.len(), "sha256": sum(bytes), "packing": "file", "name": "a.txt"})
}

pub(super) fn sum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}
