//! `GET`s, which may block, and `DELETE /v1/job/<id>`.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::Response;
use serde_json::{Value, json};

use super::State;
use super::cluster::Cluster;
use super::{list, shape};
use crate::fake::consul::duration;
use crate::fake::wire::{self, Call, text};

impl State {
    /// Reads that may block.
    pub(super) async fn get(&self, call: &Call, path: &[&str]) -> Response {
        let index = match call.param("index").map(str::parse::<u64>) {
            None => 0,
            Some(Ok(index)) => index,
            Some(Err(_)) => return text(400, "Invalid index"),
        };
        let wait = match call.param("wait").map(duration) {
            None => Duration::from_secs(300),
            Some(Some(wait)) => wait,
            Some(None) => return text(400, "Invalid wait time"),
        };
        let mut changed = self.changed.subscribe();
        let until = tokio::time::Instant::now() + wait + wait / 32;
        loop {
            let (at, mut answer) = self.read(|cluster| show(cluster, call, path));
            if index > 0 && at <= index && answer.status() != 404 && tokio::time::Instant::now() < until {
                let _ = tokio::time::timeout_at(until, changed.changed()).await;
                continue;
            }
            let headers = answer.headers_mut();
            headers.insert("x-nomad-index", HeaderValue::from(at));
            headers.insert("x-nomad-knownleader", HeaderValue::from_static("true"));
            headers.insert("x-nomad-lastcontact", HeaderValue::from_static("0"));
            return answer;
        }
    }
}

fn newest<'a>(values: impl Iterator<Item = &'a Value>) -> Option<u64> {
    values.filter_map(|value| value["ModifyIndex"].as_u64()).max()
}

/// The index and the answer of a read.
fn show(cluster: &Cluster, call: &Call, path: &[&str]) -> (u64, Response) {
    let namespace = call.param("namespace").unwrap_or("default");
    let of_job = |value: &&Value, id: &str| value["JobID"] == id && value["Namespace"] == namespace;
    let list = |found: Vec<Value>| {
        let at = newest(found.iter()).unwrap_or(cluster.index);
        (at, wire::json(200, &found.into()))
    };
    let one = |value: Option<Value>, missing: &'static str| match value {
        Some(value) => (value["ModifyIndex"].as_u64().unwrap(), wire::json(200, &value)),
        None => (cluster.index, text(404, missing)),
    };
    match path {
        ["v1", "jobs"] => {
            let prefix = call.param("prefix").unwrap_or_default();
            let under = cluster.jobs.iter().filter(|((_, id), _)| id.starts_with(prefix)).map(|(_, job)| job);
            (newest(under).unwrap_or(cluster.index), list::answer(cluster, call))
        }
        ["v1", "allocations"] => {
            let most = call.param("per_page").and_then(|most| most.parse().ok()).unwrap_or(usize::MAX);
            let stubs = cluster.allocs.values().map(|alloc| &alloc.stub).filter(|stub| stub["Namespace"] == namespace);
            list(stubs.take(most).cloned().collect())
        }
        ["v1", "job", id] => one(cluster.job(namespace, id).cloned(), "job not found"),
        ["v1", "job", id, "allocations"] => {
            let stubs = cluster.allocs.values().map(|alloc| &alloc.stub).filter(|stub| of_job(stub, id));
            list(stubs.cloned().collect())
        }
        ["v1", "job", id, "evaluations"] => {
            list(cluster.evals.iter().filter(|eval| of_job(eval, id)).cloned().collect())
        }
        ["v1", "allocation", id] if id.len() != 36 => {
            (cluster.index, text(500, "alloc lookup failed: index error: UUID must be 36 characters"))
        }
        ["v1", "allocation", id] => {
            one(cluster.allocs.get(*id).map(|alloc| shape::alone(&alloc.stub)), "alloc not found")
        }
        ["v1", "evaluation", id] => {
            one(cluster.evals.iter().find(|eval| eval["ID"] == **id).cloned(), "eval not found")
        }
        ["v1", "status", "leader"] => (cluster.index, wire::json(200, &"127.0.0.1:4647".into())),
        ["v1", "agent", "health"] => {
            (cluster.index, wire::json(200, &json!({"server": {"message": "ok", "ok": true}})))
        }
        ["v1", "agent", "self"] => {
            (cluster.index, wire::json(200, &json!({"config": {"Version": {"Version": "2.0.5"}}})))
        }
        ["v1", "namespace", name] => (cluster.index, wire::json(200, &json!({"Name": name}))),
        _ => (cluster.index, text(404, "")),
    }
}

/// `DELETE /v1/job/<id>`; seen: 200 for an unknown one too.
pub(super) fn delete(cluster: &mut Cluster, call: &Call, id: &str) -> Response {
    let namespace = call.param("namespace").unwrap_or("default");
    let mut answer = json!({
        "EvalCreateIndex": 0, "EvalID": "", "Index": cluster.index, "JobModifyIndex": cluster.index,
        "KnownLeader": false, "LastContact": 0, "NextToken": "", "VolumeEvalID": "", "VolumeEvalIndex": 0,
    });
    if cluster.job(namespace, id).is_some() {
        cluster.writes += 1;
        if call.param("purge") == Some("true") {
            cluster.forget(id);
        } else {
            let eval = cluster.deregister(id);
            for (name, from) in [
                ("EvalCreateIndex", "CreateIndex"),
                ("EvalID", "ID"),
                ("Index", "CreateIndex"),
                ("JobModifyIndex", "CreateIndex"),
            ] {
                answer[name] = eval[from].clone();
            }
        }
    }
    wire::json(200, &answer)
}
