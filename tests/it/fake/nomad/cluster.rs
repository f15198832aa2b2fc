//! What a Nomad cluster knows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::logs::Log;
use super::shape;

/// An allocation and its logs.
#[derive(Debug)]
pub(super) struct Alloc {
    /// As in a list.
    pub(super) stub: Value,
    pub(super) logs: BTreeMap<(String, String), Log>,
    /// Its node answers nothing.
    pub(super) dark: bool,
    /// The client has collected it.
    pub(super) collected: bool,
}

/// An event of the stream.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) index: u64,
    pub(super) topic: &'static str,
    pub(super) namespace: String,
    pub(super) keys: Vec<String>,
    pub(super) body: Value,
}

/// All of it. Jobs by namespace and id.
#[derive(Debug, Default)]
pub(super) struct Cluster {
    pub(super) index: u64,
    pub(super) jobs: BTreeMap<(String, String), Value>,
    pub(super) allocs: BTreeMap<String, Alloc>,
    pub(super) evals: Vec<Value>,
    pub(super) events: Vec<Event>,
    pub(super) writes: u64,
    pub(super) dispatches: u64,
    pub(super) deny: BTreeSet<&'static str>,
    pub(super) token: Option<String>,
    /// Those that were made; of all others only `nowhere` is not there.
    pub(super) namespaces: BTreeSet<String>,
    /// As `GET /v1/acl/policies` lists them.
    pub(super) policies: Vec<Value>,
    pub(super) ghosts: usize,
    /// Executors that are told to stop go on until the test ends them.
    pub(super) stubborn: bool,
    pub(super) log_limits: Option<(usize, usize)>,
}

impl Cluster {
    pub(super) fn next(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    pub(super) fn job(&self, namespace: &str, id: &str) -> Option<&Value> {
        self.jobs.get(&(namespace.to_owned(), id.to_owned()))
    }

    /// The namespace of a build, whose id is the only one of its kind in a test.
    pub(super) fn key_of(&self, id: &str) -> (String, String) {
        let found = self.jobs.keys().find(|(_, one)| one == id);
        found.cloned().unwrap_or_else(|| panic!("there is no job {id}"))
    }

    /// Changes a job at a new index.
    pub(super) fn edit_job(&mut self, id: &str, edit: impl FnOnce(&mut Value)) {
        let index = self.next();
        let key = self.key_of(id);
        let job = self.jobs.get_mut(&key).unwrap();
        job["ModifyIndex"] = index.into();
        edit(job);
        let shown = job.clone();
        self.emit("Job", "JobUpdated", &shown, json!({"Job": shown}));
    }

    /// The newest allocation of a build.
    pub(super) fn newest(&self, build: &str) -> Option<String> {
        let of_build = self.allocs.values().filter(|alloc| alloc.stub["JobID"] == build);
        let newest = of_build.max_by_key(|alloc| alloc.stub["CreateIndex"].as_u64());
        newest.map(|alloc| alloc.stub["ID"].as_str().unwrap().to_owned())
    }

    /// Changes a build's newest allocation at a new index.
    pub(super) fn edit_alloc(&mut self, build: &str, edit: impl FnOnce(&mut Alloc)) {
        let index = self.next();
        let id = self.newest(build).unwrap_or_else(|| panic!("{build} has no allocation"));
        let alloc = self.allocs.get_mut(&id).unwrap();
        alloc.stub["ModifyIndex"] = index.into();
        alloc.stub["ModifyTime"] = shape::now().into();
        edit(alloc);
        let stub = alloc.stub.clone();
        self.emit("Allocation", "AllocationUpdated", &stub, json!({"Allocation": shape::alone(&stub)}));
    }

    /// Adds an evaluation.
    pub(super) fn evaluate(&mut self, build: &str, triggered_by: &str, edit: impl FnOnce(&mut Value)) -> Value {
        let index = self.next();
        let job = self.jobs[&self.key_of(build)].clone();
        let mut eval = shape::evaluation(&job, triggered_by, index);
        edit(&mut eval);
        self.evals.push(eval.clone());
        self.emit("Evaluation", "EvaluationUpdated", &eval, json!({"Evaluation": eval}));
        eval
    }

    /// Changes a build's evaluations.
    pub(super) fn edit_evals(&mut self, build: &str, edit: impl Fn(&mut Value)) {
        let index = self.next();
        let mut shown = Vec::new();
        for eval in self.evals.iter_mut().filter(|eval| eval["JobID"] == build) {
            let before = eval.clone();
            edit(eval);
            if *eval != before {
                eval["ModifyIndex"] = index.into();
                shown.push(eval.clone());
            }
        }
        for eval in shown {
            self.emit("Evaluation", "EvaluationUpdated", &eval, json!({"Evaluation": eval}));
        }
    }

    pub(super) fn emit(&mut self, topic: &'static str, kind: &str, subject: &Value, payload: Value) {
        let text = |name: &str| subject[name].as_str().unwrap_or_default().to_owned();
        let keys = if topic == "Job" { vec![text("ID")] } else { vec![text("ID"), text("JobID")] };
        let body = json!({
            "FilterKeys": &keys[1..], "Index": self.index, "Key": keys[0], "Namespace": text("Namespace"),
            "Payload": payload, "Topic": topic, "Type": kind,
        });
        self.events.push(Event { index: self.index, topic, namespace: text("Namespace"), keys, body });
    }

    /// Everything about a build is gone.
    pub(super) fn forget(&mut self, build: &str) {
        self.next();
        self.jobs.retain(|(_, id), _| id != build);
        self.allocs.retain(|_, alloc| alloc.stub["JobID"] != build);
        self.evals.retain(|eval| eval["JobID"] != build);
    }
}
