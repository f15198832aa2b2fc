//! A Nomad: dispatch, jobs, allocations, evaluations, logs and events, as Nomad 2.0.5 was seen to answer.
//! Nothing happens to a build by itself: the test drives it (`drive.rs`).

mod cluster;
mod dispatch;
mod drive;
mod events;
mod identity;
mod life;
mod list;
mod logs;
mod read;
mod register;
mod shape;

use std::sync::{Arc, Mutex};

use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::fault::Faults;
use super::wire::{Call, PATIENCE, Service, Wire, text};
use cluster::Cluster;
pub(crate) use identity::KEYS;
use identity::Signers;
pub(crate) use shape::Builder;

/// A Nomad server with one client.
#[derive(Debug)]
pub(crate) struct Nomad {
    wire: Wire,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    cluster: Mutex<Cluster>,
    changed: watch::Sender<()>,
    signers: Signers,
}

impl State {
    fn change<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        let out = change(&mut self.cluster.lock().unwrap());
        self.changed.send_replace(());
        out
    }

    fn read<T>(&self, read: impl FnOnce(&Cluster) -> T) -> T {
        read(&self.cluster.lock().unwrap())
    }
}

impl Nomad {
    /// Starts without jobs, on a free port.
    pub(crate) async fn start() -> Self {
        let cluster = Cluster { index: 10, ..Cluster::default() };
        let state = Arc::new(State {
            cluster: Mutex::new(cluster),
            changed: watch::channel(()).0,
            signers: Signers::default(),
        });
        Self { wire: Wire::start(state.clone()).await, state }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Cluster) -> T) -> T {
        self.state.change(change)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        self.wire.url()
    }

    /// What can be made to go wrong.
    pub(crate) fn faults(&self) -> &Faults {
        self.wire.faults()
    }

    /// Journal, connections, up and down.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    /// From now on requests without this token get what Nomad gives them.
    pub(crate) fn require_token(&self, token: &str) {
        self.change(|cluster| cluster.token = Some(token.to_owned()));
    }

    /// The token lacks this capability (`dispatch-job`, `list-jobs`, `read-job`, `read-logs`, `deregister-job`).
    pub(crate) fn deny(&self, capability: &'static str) {
        self.change(|cluster| cluster.deny.insert(capability));
    }

    /// It has it again.
    pub(crate) fn allow(&self, capability: &'static str) {
        self.change(|cluster| cluster.deny.remove(capability));
    }

    /// A policy is bound to a task of a job.
    pub(crate) fn bind_policy(&self, name: &str, job: &str, task: &str) {
        let bound = json!({"Namespace": "ci", "JobID": job, "Group": "", "Task": task});
        self.change(|cluster| cluster.policies.push(json!({"Name": name, "JobACL": bound})));
    }

    /// The next so many dispatches name children that do not exist.
    pub(crate) fn ghosts(&self, next: usize) {
        self.change(|cluster| cluster.ghosts = next);
    }

    /// Executors that are told to stop go on until [`Nomad::kill`].
    pub(crate) fn stubborn(&self, stubborn: bool) {
        self.change(|cluster| cluster.stubborn = stubborn);
    }

    /// Logs rotate: the most files, and the most bytes in one.
    pub(crate) fn rotate_logs(&self, files: usize, bytes: usize) {
        self.change(|cluster| cluster.log_limits = Some((files, bytes)));
    }

    /// Registers a job, anew where there is one.
    pub(crate) fn register(&self, builder: &Builder) {
        self.change(|cluster| {
            let index = cluster.next();
            let mut job = builder.job();
            for name in ["CreateIndex", "ModifyIndex", "JobModifyIndex"] {
                job[name] = index.into();
            }
            cluster.jobs.insert((builder.namespace.clone(), builder.name.clone()), job);
        });
    }

    /// Dispatches as somebody else who has that right; the child's id.
    pub(crate) fn dispatch_as_stranger(&self, builder: &str, token: &str, meta: &Value) -> String {
        let body = json!({"Meta": meta, "IdempotencyToken": token});
        let call = Call {
            method: "POST".to_owned(),
            path: String::new(),
            query: vec![("namespace".to_owned(), self.namespace_of(builder))],
            headers: axum::http::HeaderMap::new(),
            body: body.to_string().into(),
        };
        let answer = self.change(|cluster| dispatch::answer(cluster, &call, builder));
        assert_eq!(answer.status(), 200, "the stranger's dispatch");
        self.children(builder).into_iter().find(|id| self.job(id)["DispatchIdempotencyToken"] == token).unwrap()
    }

    fn namespace_of(&self, id: &str) -> String {
        self.state.read(|cluster| cluster.key_of(id).0)
    }

    /// A job as Nomad would show it.
    pub(crate) fn job(&self, id: &str) -> Value {
        self.state.read(|cluster| cluster.jobs[&cluster.key_of(id)].clone())
    }

    /// The newest allocation of a build.
    pub(crate) fn allocation(&self, build: &str) -> String {
        self.state.read(|cluster| cluster.newest(build).unwrap())
    }

    /// The children of a builder, oldest first.
    pub(crate) fn children(&self, builder: &str) -> Vec<String> {
        self.state.read(|cluster| {
            let mut children: Vec<&Value> = cluster.jobs.values().filter(|job| job["ParentID"] == builder).collect();
            children.sort_by_key(|job| job["CreateIndex"].as_u64());
            children.into_iter().map(|job| job["ID"].as_str().unwrap().to_owned()).collect()
        })
    }

    /// All children of any builder for a commit.
    pub(crate) fn builds_of(&self, commit: &str) -> Vec<String> {
        self.state.read(|cluster| {
            let of_commit =
                cluster.jobs.values().filter(|job| job["Dispatched"] == true && job["Meta"]["COMMIT"] == commit);
            of_commit.map(|job| job["ID"].as_str().unwrap().to_owned()).collect()
        })
    }

    /// The builder's n-th child (from 1), once it is there.
    pub(crate) async fn child(&self, builder: &str, n: usize) -> String {
        self.wait(&format!("child {n} of {builder}"), || self.children(builder).len() >= n).await;
        self.children(builder)[n - 1].clone()
    }

    /// Waits until a change makes this true.
    pub(crate) async fn wait(&self, what: &str, fits: impl Fn() -> bool) {
        let mut changed = self.state.changed.subscribe();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !fits() {
                changed.changed().await.unwrap();
            }
        });
        assert!(waited.await.is_ok(), "waited for: {what}");
    }

    /// Children made by requests so far, those that are gone included.
    pub(crate) fn dispatches(&self) -> u64 {
        self.state.read(|cluster| cluster.dispatches)
    }

    /// Writes that took effect by requests: dispatches and deregistrations.
    pub(crate) fn writes(&self) -> u64 {
        self.state.read(|cluster| cluster.writes)
    }
}

/// The right a request needs, as far as the fake knows.
fn capability(method: &str, path: &[&str]) -> Option<&'static str> {
    match (method, path) {
        (_, ["v1", "job", _, "dispatch"]) => Some("dispatch-job"),
        ("DELETE", ["v1", "job", _]) => Some("deregister-job"),
        ("POST" | "PUT", ["v1", "jobs"]) | (_, ["v1", "job", _, "plan"]) => Some("submit-job"),
        (_, ["v1", "jobs", "parse"]) => Some("parse-job"),
        ("POST" | "PUT", ["v1", "namespace", _]) => Some("namespaces"),
        (_, ["v1", "jobs"]) => Some("list-jobs"),
        (_, ["v1", "client", "fs", "logs", _]) => Some("read-logs"),
        (
            _,
            ["v1", "job", ..]
            | ["v1", "allocation", _]
            | ["v1", "allocations"]
            | ["v1", "evaluation", _]
            | ["v1", "event", _],
        ) => Some("read-job"),
        _ => None,
    }
}

impl Service for State {
    async fn answer(self: Arc<Self>, call: Call) -> Response {
        let segments = call.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let (authentic, allowed) = self.read(|cluster| {
            let given = call.header("x-nomad-token").map(ToOwned::to_owned).or_else(|| {
                call.header("authorization").and_then(|it| it.strip_prefix("Bearer ")).map(ToOwned::to_owned)
            });
            let authentic = cluster.token.is_none() || cluster.token == given;
            let right = capability(&call.method, &path).is_none_or(|right| !cluster.deny.contains(right));
            (authentic, authentic && right)
        });
        if call.path == KEYS {
            return self.signers.shown();
        }
        if let ["v1", "event", "stream"] = path.as_slice() {
            return events::answer(self, &call, allowed);
        }
        if !allowed && !matches!(path.as_slice(), ["v1", "status" | "agent", ..]) {
            // Seen: a token without read-job gets 500 for an allocation.
            return match path.as_slice() {
                ["v1", "allocation", id] if authentic => text(500, format!("Unknown allocation {id:?}")),
                _ => text(403, "Permission denied"),
            };
        }
        match (call.method.as_str(), path.as_slice()) {
            ("POST" | "PUT", ["v1", "job", id, "dispatch"]) => {
                self.change(|cluster| dispatch::answer(cluster, &call, id))
            }
            (_, ["v1", "job", _, "dispatch"]) => text(405, "Invalid method"),
            ("POST" | "PUT", ["v1", "jobs", "parse"]) => register::parse(&call),
            ("POST" | "PUT", ["v1", "validate", "job"]) => register::validate(&call),
            ("POST" | "PUT", ["v1", "job", id, "plan"]) => self.read(|cluster| register::plan(cluster, &call, id)),
            ("POST" | "PUT", ["v1", "jobs"]) => self.change(|cluster| register::register(cluster, &call)),
            ("GET", ["v1", "namespace", name]) => self.read(|cluster| register::namespace(cluster, name)),
            ("POST" | "PUT", ["v1", "namespace", name]) => {
                self.change(|cluster| register::make_namespace(cluster, name))
            }
            ("GET", ["v1", "acl", ..]) => self.read(|cluster| register::acl(cluster, &path)),
            ("DELETE", ["v1", "job", id]) => self.change(|cluster| read::delete(cluster, &call, id)),
            ("GET", ["v1", "client", "fs", "logs", alloc]) => logs::answer(self.clone(), &call, alloc),
            ("GET", _) => self.get(&call, &path).await,
            _ => text(404, ""),
        }
    }
}
