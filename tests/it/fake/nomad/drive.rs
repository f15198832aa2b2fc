//! What a test makes happen to a build.

use serde_json::json;

use super::Nomad;
use super::life::{close, each_task, kill, not_restarting, push_event, start_task, terminate};
use super::shape::event;

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
