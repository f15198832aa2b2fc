//! Nomad's answers, each field as it was recorded; only what a test drives is filled in.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::fake::fixture;

static JOB: LazyLock<Value> = LazyLock::new(|| fixture::read("nomad/job/parent")["body"].clone());

static ALLOCATION: LazyLock<Value> = LazyLock::new(|| {
    let scenario = fixture::read("nomad/scenarios/exit0");
    let steps = scenario["steps"].as_array().unwrap();
    let mut lists = steps.iter().filter(|step| step["request"]["path"].as_str().unwrap().contains("/allocations"));
    lists.next_back().unwrap()["body"][0].clone()
});

/// A parameterized job for a test to register: the four meta keys, group `runner`, tasks `controller`, `prepare` and
/// `executor`.
#[derive(Debug, Clone)]
pub(crate) struct Builder {
    pub(super) name: String,
    pub(super) namespace: String,
    meta_required: Vec<String>,
    meta_optional: Vec<String>,
    payload: &'static str,
    identity: bool,
    parameterized: bool,
    pub(super) tasks: Vec<String>,
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

impl Builder {
    /// A builder in namespace `ci` as simple as can be: the four meta keys, one task `executor`.
    pub(crate) fn plain(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            namespace: "ci".to_owned(),
            meta_required: words(&["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"]),
            meta_optional: Vec::new(),
            payload: "optional",
            identity: false,
            parameterized: true,
            tasks: words(&["executor"]),
        }
    }

    /// A builder as ours: all optional meta, a controller with an identity, payload forbidden.
    pub(crate) fn full(name: &str) -> Self {
        let optional = ["REF", "EVENT", "SENDER", "PULL_REQUEST", "TRUSTED", "ALBATROS_CLAIM", "IMAGE"];
        Self {
            meta_optional: words(&optional),
            payload: "forbidden",
            identity: true,
            tasks: words(&["controller", "prepare", "executor"]),
            ..Self::plain(name)
        }
    }

    pub(crate) fn required(mut self, keys: &[&str]) -> Self {
        self.meta_required = words(keys);
        self
    }

    pub(crate) fn optional(mut self, keys: &[&str]) -> Self {
        self.meta_optional = words(keys);
        self
    }

    /// `optional`, `required` or `forbidden`.
    pub(crate) fn payload(mut self, mode: &'static str) -> Self {
        self.payload = mode;
        self
    }

    pub(crate) fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// An ordinary batch job, which cannot be dispatched.
    pub(crate) fn not_parameterized(mut self) -> Self {
        self.parameterized = false;
        self
    }

    pub(super) fn job(&self) -> Value {
        let mut job = JOB.clone();
        job["ID"] = self.name.clone().into();
        job["Name"] = self.name.clone().into();
        job["Namespace"] = self.namespace.clone().into();
        job["ParameterizedJob"] = if self.parameterized {
            json!({
                "MetaOptional": self.meta_optional, "MetaRequired": self.meta_required, "Payload": self.payload,
            })
        } else {
            Value::Null
        };
        let task = job["TaskGroups"][0]["Tasks"][1].clone();
        let tasks = self.tasks.iter().map(|name| {
            let mut task = task.clone();
            task["Name"] = name.clone().into();
            if name == "controller" && self.identity {
                task["Identities"] = json!([{
                    "Audience": ["albatros"], "ChangeMode": "", "ChangeSignal": "", "Env": false, "ExtraClaims": null,
                    "File": true, "Filepath": "", "Name": "albatros", "ServiceName": "", "TTL": 3_600_000_000_000_u64,
                }]);
            }
            task
        });
        job["TaskGroups"][0]["Tasks"] = tasks.collect();
        job["TaskGroups"][0]["Name"] = "runner".into();
        job
    }
}

/// A stub of `GET /v1/jobs`.
pub(super) fn stub(job: &Value, with_meta: bool) -> Value {
    let copy = |name: &str| job[name].clone();
    let mut stub = json!({
        "CreateIndex": copy("CreateIndex"), "Datacenters": copy("Datacenters"), "ID": copy("ID"),
        "JobModifyIndex": copy("JobModifyIndex"),
        "JobSummary": {
            "Children": {"Dead": 0, "Pending": 0, "Running": 0}, "CreateIndex": copy("CreateIndex"),
            "JobID": copy("ID"), "ModifyIndex": copy("ModifyIndex"), "Namespace": copy("Namespace"),
            "Summary": {"runner": {"Complete": 0, "Failed": 0, "Lost": 0, "Queued": 0, "Running": 0, "Starting": 0, "Unknown": 0}},
        },
        "ModifyIndex": copy("ModifyIndex"), "Multiregion": null, "Name": copy("Name"),
        "Namespace": copy("Namespace"), "NodePool": "default",
        "ParameterizedJob": job["Dispatched"] == false && !job["ParameterizedJob"].is_null(),
        "ParentID": copy("ParentID"), "Periodic": false, "Priority": copy("Priority"), "Status": copy("Status"),
        "StatusDescription": "", "Stop": copy("Stop"), "SubmitTime": copy("SubmitTime"), "Type": "batch",
    });
    if with_meta {
        stub["Meta"] = copy("Meta");
    }
    stub
}

/// An allocation as it is in a list, just placed.
pub(super) fn allocation(id: &str, job: &Value, eval: &str, index: u64) -> Value {
    let mut allocation = ALLOCATION.clone();
    for (name, value) in [
        ("ID", id.into()),
        ("JobID", job["ID"].clone()),
        ("EvalID", eval.into()),
        ("Namespace", job["Namespace"].clone()),
        ("Name", format!("{}.runner[0]", job["ID"].as_str().unwrap()).into()),
        ("ClientStatus", "pending".into()),
        ("ClientDescription", "".into()),
        ("DesiredStatus", "run".into()),
        ("TaskStates", Value::Null),
        ("CreateIndex", index.into()),
        ("ModifyIndex", index.into()),
        ("CreateTime", now().into()),
        ("ModifyTime", now().into()),
    ] {
        allocation[name] = value;
    }
    allocation
}

/// The same alone, which omits what is empty.
pub(super) fn alone(allocation: &Value) -> Value {
    let mut alone = allocation.clone();
    let fields = alone.as_object_mut().unwrap();
    fields.retain(|_, value| !value.is_null() && *value != "");
    fields.remove("JobType");
    alone
}

/// An evaluation.
pub(super) fn evaluation(job: &Value, triggered_by: &str, index: u64) -> Value {
    json!({
        "CreateIndex": index, "CreateTime": now(), "ID": crate::fake::uuid(), "JobID": job["ID"],
        "JobModifyIndex": job["JobModifyIndex"], "ModifyIndex": index, "ModifyTime": now(),
        "Namespace": job["Namespace"], "Priority": 50, "Status": "pending", "TriggeredBy": triggered_by,
        "Type": if triggered_by == "job-deregister" { "service" } else { "batch" },
    })
}

/// A task's event.
pub(super) fn event(kind: &str, details: Value, says: &str) -> Value {
    let mut event = ALLOCATION["TaskStates"]["executor"]["Events"][0].clone();
    let number = |name: &str| details[name].as_str().and_then(|it| it.parse::<i64>().ok()).unwrap_or(0);
    event["ExitCode"] = number("exit_code").into();
    event["Signal"] = number("signal").into();
    event["Type"] = kind.into();
    event["DisplayMessage"] = says.into();
    event["Details"] = details;
    event["Time"] = now().into();
    event
}

/// The state of a task that has been received.
pub(super) fn received() -> Value {
    json!({
        "Events": [event("Received", json!({}), "Task received by client")], "Failed": false, "FinishedAt": null,
        "LastRestart": null, "Paused": "", "Restarts": 0, "StartedAt": null, "State": "pending",
    })
}

/// Nanoseconds since 1970.
pub(super) fn now() -> i64 {
    i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap()
}
