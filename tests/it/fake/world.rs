//! Everything around a server: the three services, a builder, a configured repository, and what must never be printed.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::consul::Consul;
use super::delivery::{Delivery, REPO};
use super::forge::{Forge, Right, Status};
use super::http::{Reply, client};
use super::nomad::{Builder, Nomad};
use super::serve::{Printed, Serve};
use super::wire::Wire;

/// The hook's secret of the repository in a [`World`].
pub(crate) const SECRET: &str = "hook-s3cr3t-of-quentin";
/// A bearer that may read what is private.
pub(crate) const READER: &str = "reader-t0ken-of-quentin";
/// A bearer that may act.
pub(crate) const ACTOR: &str = "actor-t0ken-of-quentin";
/// The forge's token.
pub(crate) const FORGE: &str = "forge-t0ken-of-quentin";
/// What trusted builds are given.
pub(crate) const INJECT: &str = "DEPLOY_KEY=injected-s3cr3t-of-quentin";
/// Nomad's token.
pub(crate) const NOMAD: &str = "nomad-t0ken-of-albatros";
/// Consul's token.
pub(crate) const CONSUL: &str = "consul-t0ken-of-albatros";
/// Nothing of these may ever be printed or stored in a record.
const HIDDEN: &[&str] = &[SECRET, READER, ACTOR, FORGE, "injected-s3cr3t-of-quentin", NOMAD, CONSUL];

/// Where open changes are.
pub(crate) const OPEN: &str = "albatros-builds/open/";
/// Where ended changes are.
pub(crate) const DONE: &str = "albatros-builds/done/";
const LOCK: &str = "albatros-builds/lock";

/// Three services and a repository. Checks at its end that no secret was printed.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) nomad: Nomad,
    pub(crate) consul: Consul,
    pub(crate) forge: Forge,
    spool: tempfile::TempDir,
    printed: Mutex<Vec<Arc<Printed>>>,
    settings: Mutex<Vec<(String, String)>>,
}

impl World {
    /// Services with tokens, a builder `builder`, and quentin's repository configured as in [`World::config`].
    pub(crate) async fn new() -> Self {
        let world = Self {
            nomad: Nomad::start().await,
            consul: Consul::start().await,
            forge: Forge::start().await,
            spool: tempfile::tempdir().unwrap(),
            printed: Mutex::default(),
            settings: Mutex::default(),
        };
        world.nomad.require_token(NOMAD);
        world.consul.require_token(CONSUL);
        world.forge.token(FORGE, Right::Write);
        world.nomad.register(&Builder::plain("builder").optional(&["REF", "EVENT", "SENDER", "TRUSTED"]));
        world.put_config(&world.config());
        world
    }

    /// The repository's usual configuration.
    pub(crate) fn config(&self) -> Value {
        json!({
            "hook": {"secret": SECRET},
            "gitea": {"url": self.forge.url(), "token": FORGE},
            "trusted": {"senders": ["quentin"]},
            "inject": INJECT,
            "tokens": {"read": [READER], "act": [ACTOR]},
        })
    }

    /// Puts another configuration for the repository.
    pub(crate) fn put_config(&self, config: &Value) {
        self.consul.put_repo("albatros", REPO, config);
    }

    /// A setting for servers started from now on.
    pub(crate) fn set(&self, name: &str, value: &str) {
        self.settings.lock().unwrap().push((name.to_owned(), value.to_owned()));
    }

    /// Starts a server on these services.
    pub(crate) async fn serve(&self) -> Serve {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut environment = vec![
            pair("ALBATROS_LISTEN", "127.0.0.1:0"),
            pair("ALBATROS_URL", "https://ci.example"),
            pair("ALBATROS_LOG", "debug"),
            pair("NOMAD_ADDR", &self.nomad.url()),
            pair("NOMAD_TOKEN", NOMAD),
            pair("CONSUL_HTTP_ADDR", &self.consul.url()),
            pair("CONSUL_HTTP_TOKEN", CONSUL),
            pair("TMPDIR", self.spool.path().to_str().unwrap()),
        ];
        environment.extend(self.settings.lock().unwrap().iter().cloned());
        let serve = Serve::start(&environment, None).await;
        self.printed.lock().unwrap().push(Arc::clone(&serve.printed));
        serve
    }

    /// Ends sessions at once, as if their time were over: what a dead server held is free.
    pub(crate) fn let_locks_go(&self) {
        self.consul.end_sessions(&[]);
    }

    /// Waits until a server is the follower.
    pub(crate) async fn followed(&self) {
        self.consul.wait(LOCK, "a follower", |_| self.consul.holder(LOCK).is_some()).await;
    }

    /// The commit is pushed to the branch, and the delivery for it sent.
    pub(crate) async fn push(&self, serve: &Serve, branch: &str, before: &str, after: &str) -> Reply {
        self.forge.push("quentin/albatros", branch, after);
        Delivery::push(branch, before, after).send(&serve.url, SECRET).await
    }

    /// The same; gives the build's id once there is one, also where the answer came before it.
    pub(crate) async fn build(&self, serve: &Serve, branch: &str, before: &str, after: &str) -> String {
        self.forge.push("quentin/albatros", branch, after);
        self.build_by(serve, &Delivery::push(branch, before, after)).await
    }

    /// The build of a delivery of a push.
    pub(crate) async fn build_by(&self, serve: &Serve, push: &Delivery) -> String {
        let commit = push.body["after"].as_str().unwrap();
        let before = self.nomad.builds_of(commit);
        let reply = push.send(&serve.url, SECRET).await;
        assert!(matches!(reply.status, 200 | 202), "{} {}", reply.status, reply.text);
        let new = || self.nomad.builds_of(commit).into_iter().find(|build| !before.contains(build));
        self.nomad.wait("a build of the push", || new().is_some()).await;
        new().unwrap()
    }

    /// The one open record.
    pub(crate) fn open(&self) -> Vec<(String, Value)> {
        self.consul.records(OPEN)
    }

    /// The ended changes.
    pub(crate) fn done(&self) -> Vec<(String, Value)> {
        self.consul.records(DONE)
    }

    /// Waits until so many changes have ended and none is open.
    pub(crate) async fn all_done(&self, count: usize) {
        let what = format!("{count} ended changes and none open");
        self.consul.wait("albatros-builds/", &what, |_| self.open().is_empty() && self.done().len() == count).await;
    }

    /// Waits until nothing is open.
    pub(crate) async fn none_open(&self) {
        self.consul.wait(OPEN, "no open change", |open| open.is_empty()).await;
    }

    /// That the statuses of a commit end with one final status, and which.
    pub(crate) fn final_status(&self, sha: &str) -> Status {
        let all = self.forge.of(sha);
        let finals: Vec<&Status> = all.iter().filter(|status| status.state != "pending").collect();
        assert_eq!(finals.len(), 1, "exactly one final status of {sha}: {all:#?}");
        assert_eq!(all.last(), Some(finals[0]), "nothing after the final status: {all:#?}");
        finals[0].clone()
    }

    /// Everything works again.
    pub(crate) fn all_work(&self) {
        for faults in [self.nomad.faults(), self.consul.faults(), self.forge.faults()] {
            faults.clear();
        }
    }

    /// Everything that all servers have printed.
    pub(crate) fn printed(&self) -> String {
        self.printed.lock().unwrap().iter().map(|printed| printed.all()).collect()
    }
}

/// The secrets of hooks and people are for comparing only: no service is ever sent one.
fn sends_none_of(wire: &Wire, secrets: &[&str]) {
    for seen in wire.seen() {
        let body = String::from_utf8_lossy(&seen.body);
        let leaked = secrets.iter().any(|secret| body.contains(secret) || seen.path.contains(secret));
        assert!(!leaked, "a secret was sent: {} {}", seen.method, seen.path);
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let printed = self.printed();
        for secret in HIDDEN {
            let line = printed.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "a secret was printed: {}", line.unwrap_or_default());
        }
        for wire in [self.nomad.wire(), self.consul.wire(), self.forge.wire()] {
            sends_none_of(wire, &[SECRET, READER, ACTOR]);
        }
        for (key, value) in self.consul.list("albatros-builds/") {
            let value = String::from_utf8_lossy(&value);
            assert!(HIDDEN.iter().all(|secret| !value.contains(secret)), "a secret is in the record {key}: {value}");
        }
    }
}

/// A request of a person with a bearer.
pub(crate) async fn person(serve: &Serve, method: &str, path: &str, bearer: Option<&str>) -> Reply {
    let mut request = client().request(method.parse().unwrap(), format!("{}{path}", serve.url));
    if let Some(bearer) = bearer {
        request = request.header("authorization", format!("Bearer {bearer}"));
    }
    Reply::read(request.send().await.unwrap()).await
}
