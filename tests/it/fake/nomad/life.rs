//! How allocations and their tasks change, as the recorded scenarios show it.

use serde_json::{Value, json};

use super::cluster::{Alloc, Cluster};
use super::shape::{self, event};

fn timestamp() -> Value {
    jiff::Timestamp::now().to_string().into()
}

pub(super) fn push_event(task: &mut Value, event: Value) {
    task["Events"].as_array_mut().unwrap().push(event);
}

pub(super) fn start_task(task: &mut Value) {
    push_event(task, event("Task Setup", json!({"message": "Building Task Directory"}), "Building Task Directory"));
    push_event(task, event("Started", json!({}), "Task started by client"));
    task["State"] = "running".into();
    task["StartedAt"] = timestamp();
}

pub(super) fn terminate(task: &mut Value, code: i64, signal: i64, oom: bool) {
    let details = json!({"exit_code": code.to_string(), "signal": signal.to_string(), "oom_killed": oom.to_string()});
    push_event(task, event("Terminated", details, &format!("Exit Code: {code}")));
    task["State"] = "dead".into();
    task["FinishedAt"] = timestamp();
}

pub(super) fn not_restarting(task: &mut Value) {
    let reason = "Policy allows no restarts";
    let details = json!({"fails_task": "true", "restart_reason": reason});
    push_event(task, event("Not Restarting", details, &format!("Failed due to: {reason}")));
    task["Failed"] = true.into();
}

fn killing(task: &mut Value) {
    push_event(
        task,
        event("Killing", json!({"kill_timeout": "5s"}), "Sent interrupt. Waiting 5s before force killing"),
    );
}

pub(super) fn kill(task: &mut Value) {
    killing(task);
    if task["StartedAt"].is_null() {
        task["State"] = "dead".into();
        task["FinishedAt"] = timestamp();
        return;
    }
    terminate(task, 137, 9, false);
    push_event(task, event("Killed", json!({}), "Task successfully killed"));
}

pub(super) fn each_task(alloc: &mut Alloc, mut edit: impl FnMut(&str, &mut Value)) {
    if let Some(tasks) = alloc.stub["TaskStates"].as_object_mut() {
        for (name, task) in tasks {
            edit(name, task);
        }
    }
}

pub(super) fn close(alloc: &mut Alloc, status: &str, description: &str) {
    alloc.stub["ClientStatus"] = status.into();
    alloc.stub["ClientDescription"] = description.into();
}

impl Cluster {
    pub(super) fn place(&mut self, build: &str) {
        let key = self.key_of(build);
        let job = self.jobs[&key].clone();
        let eval = self.evals.iter().rev().find(|eval| eval["JobID"] == build).map(|eval| eval["ID"].clone());
        self.edit_evals(build, |eval| {
            if eval["Status"] == "pending" || eval["Status"] == "blocked" {
                eval["Status"] = "complete".into();
                eval["QueuedAllocations"] = json!({"runner": 0});
            }
        });
        let (index, id) = (self.next(), crate::fake::uuid());
        let stub = shape::allocation(&id, &job, eval.as_ref().and_then(Value::as_str).unwrap_or_default(), index);
        self.allocs.insert(
            id,
            Alloc { stub: stub.clone(), logs: std::collections::BTreeMap::new(), dark: false, collected: false },
        );
        self.emit("Allocation", "PlanResult", &stub, json!({"Allocation": shape::alone(&stub)}));
        self.edit_job(build, |job| job["Status"] = "running".into());
    }

    pub(super) fn receive(&mut self, build: &str) {
        let tasks: Vec<String> = {
            let job = &self.jobs[&self.key_of(build)];
            let tasks = job["TaskGroups"][0]["Tasks"].as_array().unwrap().iter();
            tasks.map(|task| task["Name"].as_str().unwrap().to_owned()).collect()
        };
        self.edit_alloc(build, |alloc| {
            let states = tasks.into_iter().map(|name| (name, shape::received()));
            alloc.stub["TaskStates"] = Value::Object(states.collect());
            close(alloc, "pending", "No tasks have started");
        });
    }

    pub(super) fn run(&mut self, build: &str) {
        if self.newest(build).is_none() {
            self.place(build);
        }
        self.receive(build);
        self.edit_alloc(build, |alloc| {
            each_task(alloc, |name, task| {
                start_task(task);
                if name == "prepare" {
                    terminate(task, 0, 0, false);
                }
            });
            close(alloc, "running", "Tasks are running");
        });
    }

    pub(super) fn finish(&mut self, build: &str, code: i64, signal: i64, oom: bool) {
        let failed = code != 0 || oom;
        self.edit_alloc(build, |alloc| {
            each_task(alloc, |name, task| match name {
                "executor" => {
                    terminate(task, code, signal, oom);
                    if failed {
                        not_restarting(task);
                    }
                }
                "controller" | "sidecar" => {
                    push_event(task, event("Leader Task Dead", json!({}), "Leader Task in Group dead"));
                    killing(task);
                    terminate(task, 0, 0, false);
                }
                _ => {}
            });
            if failed {
                close(alloc, "failed", "Failed tasks")
            } else {
                close(alloc, "complete", "All tasks have completed")
            }
        });
        self.edit_job(build, |job| job["Status"] = "dead".into());
    }

    /// Ends what still runs, as after a deregistration.
    pub(super) fn kill(&mut self, build: &str) {
        if self.newest(build).is_some() {
            self.edit_alloc(build, |alloc| {
                let dead = |task: &Value| task["State"] == "dead";
                each_task(alloc, |_, task| {
                    if !dead(task) {
                        kill(task)
                    }
                });
                close(alloc, "complete", "All tasks have completed");
            });
        }
        self.edit_job(build, |job| job["Status"] = "dead".into());
    }

    /// What `DELETE /v1/job/<id>` does; the new evaluation.
    pub(super) fn deregister(&mut self, id: &str) -> Value {
        self.edit_job(id, |job| {
            job["Stop"] = true.into();
            job["JobModifyIndex"] = job["ModifyIndex"].clone();
        });
        let active = self.newest(id).filter(|alloc| {
            matches!(self.allocs[alloc].stub["ClientStatus"].as_str(), Some("pending" | "running" | "unknown"))
        });
        if active.is_some() {
            self.edit_alloc(id, |alloc| {
                alloc.stub["DesiredStatus"] = "stop".into();
                alloc.stub["DesiredDescription"] = "alloc not needed due to job update".into();
            });
        }
        self.edit_evals(id, |eval| {
            if eval["Status"] == "blocked" {
                eval["Status"] = "canceled".into();
            }
        });
        let eval = self.evaluate(id, "job-deregister", |eval| eval["Status"] = "complete".into());
        match active {
            None => self.edit_job(id, |job| job["Status"] = "dead".into()),
            Some(alloc) if self.stubborn || self.allocs[&alloc].dark => {}
            Some(_) => self.kill(id),
        }
        eval
    }
}
