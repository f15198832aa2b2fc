//! serve's side of a build's jobs: it starts nothing, a test says what becomes of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Json, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde_json::{Value, json};
use tokio::sync::watch;

/// What a service's controller asks for.
pub(super) const SERVICE_SECRET: &str = "5e21ce5e21ce";

#[derive(Default)]
struct Kept {
    specs: BTreeMap<String, Value>,
    jobs: BTreeMap<String, Value>,
    logs: BTreeMap<String, Vec<Bytes>>,
    stops: Vec<String>,
    /// Answers to come to the next starts.
    refusals: Vec<u16>,
    puts: usize,
}

/// Shared with the server that answers for it.
#[derive(Clone)]
pub(in super::super) struct FakeJobs {
    kept: Arc<Mutex<Kept>>,
    version: watch::Sender<u64>,
}

impl Default for FakeJobs {
    fn default() -> Self {
        Self { kept: Arc::default(), version: watch::channel(1).0 }
    }
}

impl FakeJobs {
    pub(in super::super) fn router(&self) -> Router {
        Router::new()
            .route("/session/{claim}/jobs", get(list))
            .route("/session/{claim}/jobs/{name}", put(start).delete(stop))
            .route("/session/{claim}/jobs/{name}/log", get(log))
            .route("/session/{claim}/address", put(address))
            .with_state(self.clone())
    }

    fn change(&self, change: impl FnOnce(&mut Kept)) {
        change(&mut self.kept.lock().unwrap());
        self.version.send_modify(|version| *version += 1);
    }

    /// A job is in this state now.
    pub(super) fn set(&self, name: &str, fields: Value) {
        self.change(|kept| {
            let job = kept.jobs.get_mut(name).unwrap().as_object_mut().unwrap();
            job.extend(fields.as_object().unwrap().clone());
        });
    }

    /// It has ended so.
    pub(in super::super) fn end(&self, name: &str, state: &str, exit_code: Option<i64>) {
        self.set(name, json!({"state": state, "ended": true, "exit_code": exit_code, "ready": false}));
    }

    /// More of its log; an empty piece cuts one connection off.
    pub(in super::super) fn say(&self, name: &str, piece: &'static str) {
        self.change(|kept| kept.logs.entry(name.to_owned()).or_default().push(Bytes::from(piece)));
    }

    pub(super) fn refuse(&self, statuses: &[u16]) {
        self.change(|kept| kept.refusals = statuses.to_vec());
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.kept.lock().unwrap().specs.keys().cloned().collect()
    }

    pub(super) fn puts(&self) -> usize {
        self.kept.lock().unwrap().puts
    }

    pub(super) fn stops(&self) -> Vec<String> {
        self.kept.lock().unwrap().stops.clone()
    }

    /// Waits for a job to be started, and gives what it is to do.
    pub(in super::super) async fn started(&self, name: &str) -> Value {
        let mut version = self.version.subscribe();
        let there = version.wait_for(|_| self.kept.lock().unwrap().specs.contains_key(name));
        tokio::time::timeout(crate::fake::wire::PATIENCE, there).await.expect(name).unwrap();
        self.kept.lock().unwrap().specs[name].clone()
    }

    /// Waits for a job to be stopped.
    pub(super) async fn stopped(&self, name: &str) {
        let mut version = self.version.subscribe();
        let there = version.wait_for(|_| self.kept.lock().unwrap().stops.iter().any(|it| it == name));
        tokio::time::timeout(crate::fake::wire::PATIENCE, there).await.expect(name).unwrap();
    }
}

async fn start(
    State(jobs): State<FakeJobs>,
    Path((_claim, name)): Path<(String, String)>,
    Json(spec): Json<Value>,
) -> Response {
    let mut answer = (StatusCode::CREATED, Value::Null);
    jobs.change(|kept| {
        kept.puts += 1;
        if !kept.refusals.is_empty() {
            let status = kept.refusals.remove(0);
            answer = (StatusCode::from_u16(status).unwrap(), json!({"detail": format!("refused with {status}")}));
            return;
        }
        let job = json!({"name": name, "claim": "c".repeat(64), "state": "claimed", "ended": false});
        answer.1 = kept.jobs.entry(name.clone()).or_insert(job).clone();
        kept.specs.insert(name, spec);
    });
    (answer.0, Json(answer.1)).into_response()
}

async fn list(State(jobs): State<FakeJobs>, Query(query): Query<BTreeMap<String, String>>) -> Json<Value> {
    let mut version = jobs.version.subscribe();
    if let Some(since) = query.get("since").and_then(|text| text.parse::<u64>().ok()) {
        let _ = tokio::time::timeout(Duration::from_secs(5), version.wait_for(|version| *version != since)).await;
    }
    let all: Vec<Value> = jobs.kept.lock().unwrap().jobs.values().cloned().collect();
    Json(json!({"version": *version.borrow(), "jobs": all}))
}

async fn stop(State(jobs): State<FakeJobs>, Path((_claim, name)): Path<(String, String)>) -> StatusCode {
    let mut status = StatusCode::NO_CONTENT;
    jobs.change(|kept| {
        match kept.jobs.get_mut(&name) {
            Some(job) if job["ended"] == false => {
                job["state"] = "cancelled".into();
                job["ended"] = true.into();
                job["ready"] = false.into();
            }
            Some(_) => {}
            None => status = StatusCode::NOT_FOUND,
        }
        kept.stops.push(name);
    });
    status
}

/// Where the only service of a test is.
async fn address(State(jobs): State<FakeJobs>, Json(told): Json<Value>) -> StatusCode {
    jobs.set("db", json!({"address": told["address"], "secret": SERVICE_SECRET, "ready": true, "state": "running"}));
    StatusCode::NO_CONTENT
}

async fn log(
    State(jobs): State<FakeJobs>,
    Path((_claim, name)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Response {
    if query["log"] == "stderr" {
        return StatusCode::OK.into_response();
    }
    let follow = query.get("follow").is_none_or(|text| text == "true");
    let pieces = futures_util::stream::unfold((jobs, 0), move |(jobs, at)| {
        let name = name.clone();
        async move {
            let mut version = jobs.version.subscribe();
            loop {
                let (piece, ended) = {
                    let mut kept = jobs.kept.lock().unwrap();
                    let ended = kept.jobs[&name]["ended"] == true;
                    let log = kept.logs.entry(name.clone()).or_default();
                    match log.get(at).cloned() {
                        Some(piece) if piece.is_empty() => {
                            log.remove(at);
                            return Some((Err(std::io::Error::other("cut off")), (jobs.clone(), at)));
                        }
                        piece => (piece, ended),
                    }
                };
                match piece {
                    Some(piece) => return Some((Ok(piece), (jobs, at + 1))),
                    None if ended || !follow => return None,
                    None => version.changed().await.ok()?,
                }
            }
        }
    });
    Body::from_stream(pieces).into_response()
}
