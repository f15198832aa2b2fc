//! What a test makes happen to a build: each as the recorded scenarios show it.

use serde_json::{Value, json};

use super::Nomad;
use super::cluster::{Alloc, Cluster};
use super::shape::{self, event};

fn timestamp() -> Value {
    jiff::Timestamp::now().to_string().into()
}

fn push_event(task: &mut Value, event: Value) {
    task["Events"].as_array_mut().unwrap().push(event);
}

fn start_task(task: &mut Value) {
    push_event(task, event("Task Setup", json!({"message": "Building Task Directory"}), "Building Task Directory"));
    push_event(task, event("Started", json!({}), "Task started by client"));
    task["State"] = "running".into();
    task["StartedAt"] = timestamp();
}

fn terminate(task: &mut Value, code: i64, signal: i64, oom: bool) {
    let details = json!({"exit_code": code.to_string(), "signal": signal.to_string(), "oom_killed": oom.to_string()});
    push_event(task, event("Terminated", details, &format!("Exit Code: {code}")));
    task["State"] = "dead".into();
    task["FinishedAt"] = timestamp();
}

fn not_restarting(task: &mut Value) {
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

fn kill(task: &mut Value) {
    killing(task);
    if task["StartedAt"].is_null() {
        task["State"] = "dead".into();
        task["FinishedAt"] = timestamp();
        return;
    }
    terminate(task, 137, 9, false);
    push_event(task, event("Killed", json!({}), "Task successfully killed"));
}

fn each_task(alloc: &mut Alloc, mut edit: impl FnMut(&str, &mut Value)) {
    if let Some(tasks) = alloc.stub["TaskStates"].as_object_mut() {
        for (name, task) in tasks {
            edit(name, task);
        }
    }
}

fn close(alloc: &mut Alloc, status: &str, description: &str) {
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
        let dark = active.as_ref().is_some_and(|alloc| self.allocs[alloc].dark);
        if !dark && !(self.stubborn && active.is_some()) {
            if active.is_some() { self.kill(id) } else { self.edit_job(id, |job| job["Status"] = "dead".into()) }
        }
        eval
    }
}

impl Nomad {
    /// The scheduler finds a node: allocation pending, nothing reported yet.
    pub(crate) fn place(&self, build: &str) {
        self.change(|cluster| cluster.place(build));
    }

    /// Placed (where it is not yet), prepared, and the executor runs.
    pub(crate) fn run(&self, build: &str) {
        self.change(|cluster| cluster.run(build));
    }

    /// The executor exits by itself.
    pub(crate) fn exit(&self, build: &str, code: i64) {
        self.change(|cluster| cluster.finish(build, code, 0, false));
    }

    /// The executor is killed for its memory.
    pub(crate) fn oom(&self, build: &str) {
        self.change(|cluster| cluster.finish(build, 137, 9, true));
    }

    /// `prepare` exits 4; the executor never starts. Needs a builder with that task.
    pub(crate) fn fail_prestart(&self, build: &str) {
        self.change(|cluster| {
            if cluster.newest(build).is_none() {
                cluster.place(build);
            }
            cluster.receive(build);
            cluster.edit_alloc(build, |alloc| {
                each_task(alloc, |name, task| {
                    if name == "prepare" {
                        start_task(task);
                        terminate(task, 4, 0, false);
                        not_restarting(task);
                        return;
                    }
                    let details = json!({"failed_sibling": "prepare"});
                    push_event(task, event("Sibling Task Failed", details, "Task's sibling \"prepare\" failed"));
                    kill(task);
                });
                close(alloc, "failed", "Failed tasks");
            });
            cluster.edit_job(build, |job| job["Status"] = "dead".into());
        });
    }

    /// `max_run_duration` is over.
    pub(crate) fn exceed_run_duration(&self, build: &str) {
        self.change(|cluster| {
            cluster.kill(build);
            cluster.edit_alloc(build, |alloc| close(alloc, "complete", "allocation exceeded max_run_duration"));
        });
    }

    /// No node has room: a blocked evaluation.
    pub(crate) fn block(&self, build: &str) {
        self.change(|cluster| {
            cluster.edit_evals(build, |eval| eval["Status"] = "complete".into());
            cluster.evaluate(build, "queued-allocs", |eval| {
                eval["Status"] = "blocked".into();
                eval["StatusDescription"] = "created to place remaining allocations".into();
                eval["FailedTGAllocs"] = json!({"runner": {
                    "ConstraintFiltered": null, "DimensionExhausted": {"memory": 1}, "NodesEvaluated": 1,
                    "NodesExhausted": 1, "NodesFiltered": 0, "NodesInPool": 1, "NodePool": "default",
                }});
            });
        });
    }

    /// The node is out of reach: client status `unknown`, logs stand still.
    pub(crate) fn disconnect(&self, build: &str) {
        self.change(|cluster| {
            cluster.edit_alloc(build, |alloc| {
                alloc.dark = true;
                close(alloc, "unknown", "alloc is unknown since its node is disconnected");
            });
        });
    }

    /// The node is lost and nothing replaces the build.
    pub(crate) fn lose(&self, build: &str) {
        self.change(|cluster| {
            cluster.edit_alloc(build, |alloc| {
                alloc.dark = true;
                alloc.stub["ClientStatus"] = "lost".into();
                alloc.stub["DesiredStatus"] = "stop".into();
                alloc.stub["DesiredDescription"] = "alloc is lost since its node is down".into();
            });
            cluster.edit_job(build, |job| job["Status"] = "pending".into());
        });
    }

    /// Ends what a stubborn executor still runs after a deregistration.
    pub(crate) fn kill(&self, build: &str) {
        self.change(|cluster| cluster.kill(build));
    }

    /// Stops a job as `nomad job stop` does: a builder, or a build.
    pub(crate) fn stop_job(&self, id: &str) {
        self.change(|cluster| cluster.deregister(id));
    }

    /// Purged by hand, or collected by the servers: all about it is 404.
    pub(crate) fn purge(&self, id: &str) {
        self.change(|cluster| cluster.forget(id));
    }

    /// Collected by the client: logs are gone.
    pub(crate) fn collect_logs(&self, build: &str) {
        self.change(|cluster| cluster.edit_alloc(build, |alloc| alloc.collected = true));
    }

    /// Writes to a task's log.
    pub(crate) fn write(&self, build: &str, task: &str, stream: &str, bytes: &[u8]) {
        self.change(|cluster| {
            let limits = cluster.log_limits;
            let id = cluster.newest(build).unwrap();
            let alloc = cluster.allocs.get_mut(&id).unwrap();
            let log = alloc.logs.entry((task.to_owned(), stream.to_owned())).or_default();
            log.write(bytes, limits);
        });
    }

    /// Writes a line to the executor's standard output.
    pub(crate) fn say(&self, build: &str, line: &str) {
        self.write(build, "executor", "stdout", format!("{line}\n").as_bytes());
    }
}
