//! A build's session at the server: who gets one, what is in it, and who does not.

mod given;
mod machine;
mod refused;
mod report;
mod trouble;

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::fake::delivery::{Delivery, commit};
use crate::fake::http::{Reply, client};
use crate::fake::nomad::Builder;
use crate::fake::serve::Serve;
use crate::fake::world::{OPEN, World};

/// A build that has just been placed, of a builder with a controller, and a server to ask. Checks at its end that no
/// token and no session's secret was printed or kept.
pub(super) struct Story {
    pub(super) world: World,
    pub(super) serve: Serve,
    pub(super) build: String,
    shown: Mutex<Vec<String>>,
}

impl Drop for Story {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let printed = self.world.printed();
        let kept = self.world.consul.list("albatros-builds/");
        for shown in self.shown.lock().unwrap().iter().filter(|shown| shown.len() > 8) {
            // Of a token the signature alone would be too much.
            let part = shown.rsplit('.').next().filter(|part| part.len() > 8).unwrap_or(shown);
            assert!(!printed.contains(part), "a token or secret was printed");
            let in_record = kept.iter().find(|(_, value)| String::from_utf8_lossy(value).contains(part));
            assert!(in_record.is_none(), "a token or secret was kept: {in_record:?}");
        }
    }
}

impl Story {
    /// A trusted push of commit 2 to `main`.
    pub(super) async fn new() -> Self {
        Self::of(&Delivery::push("main", &commit(1), &commit(2)), |_| {}).await
    }

    /// A delivery of commit 2, with a change of the repository's configuration.
    pub(super) async fn of(delivery: &Delivery, change: impl FnOnce(&mut Value)) -> Self {
        Self::with(delivery, change, |_| {}).await
    }

    /// The same in a world that is prepared before there is a server.
    pub(super) async fn with(
        delivery: &Delivery,
        change: impl FnOnce(&mut Value),
        prepare: impl FnOnce(&World),
    ) -> Self {
        let world = World::new().await;
        prepare(&world);
        world.nomad.register(&Builder::full("builder"));
        let mut config = world.config();
        change(&mut config);
        world.put_config(&config);
        let serve = world.serve().await;
        world.forge.push("quentin/albatros", "main", &commit(2));
        let build = world.build_by(&serve, delivery).await;
        world.nomad.place(&build);
        named(&world, &build).await;
        Self { world, serve, build, shown: Mutex::default() }
    }

    /// The server is killed, and another one takes its place.
    pub(super) async fn restart(&mut self) {
        let next = self.world.serve().await;
        std::mem::replace(&mut self.serve, next).kill().await;
        self.world.let_locks_go();
    }

    /// The claim as the child's meta has it.
    pub(super) fn claim(&self) -> String {
        self.world.nomad.job(&self.build)["Meta"]["ALBATROS_CLAIM"].as_str().unwrap().to_owned()
    }

    /// What the build's own controller claims to be.
    pub(super) fn claims(&self) -> Value {
        self.world.nomad.claims(&self.build)
    }

    pub(super) fn token(&self) -> String {
        self.showing(&self.world.nomad.sign(&self.claims()))
    }

    /// Remembers what must never be printed.
    pub(super) fn showing(&self, secret: &str) -> String {
        self.shown.lock().unwrap().push(secret.to_owned());
        secret.to_owned()
    }

    /// The build's own controller asks, with a secret.
    pub(super) async fn exchange(&self, secret: &str) -> Reply {
        exchange(&self.serve, &self.token(), &self.claim(), &self.showing(secret)).await
    }

    /// Its controller asks, with another token.
    pub(super) async fn exchange_with(&self, token: &str) -> Reply {
        exchange(&self.serve, &self.showing(token), &self.claim(), &secret()).await
    }

    /// The record of the one change.
    pub(super) fn record(&self) -> Value {
        self.world.open()[0].1.clone()
    }
}

/// Waits until a record names this child.
pub(super) async fn named(world: &World, build: &str) {
    let names = |record: &[u8]| serde_json::from_slice::<Value>(record).unwrap()["build"] == build;
    let fits = |open: &[(String, Vec<u8>)]| open.iter().any(|(_, record)| names(record));
    world.consul.wait(OPEN, "a record with the child's id", fits).await;
}

/// A session's secret, as controllers make one up.
pub(super) fn secret() -> String {
    crate::fake::hex(32)
}

/// `POST /session`.
pub(super) async fn exchange(serve: &Serve, token: &str, claim: &str, secret: &str) -> Reply {
    let body = json!({"claim": claim, "secret": secret}).to_string();
    post(serve, token, body).await
}

pub(super) async fn post(serve: &Serve, token: &str, body: impl Into<reqwest::Body>) -> Reply {
    let request = client().post(format!("{}/session", serve.url)).bearer_auth(token).body(body);
    Reply::read(request.send().await.unwrap()).await
}

/// That a refusal is one: its status, and a problem with a sentence.
pub(super) fn refused(reply: &Reply, status: u16) {
    assert_eq!(reply.status, status, "{}", reply.text);
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    let problem = reply.value();
    assert_eq!(problem["status"], status);
    assert!(problem["detail"].as_str().unwrap().contains(' '), "no sentence: {problem}");
}
