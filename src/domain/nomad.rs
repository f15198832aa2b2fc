//! The part of Nomad's answers that a build is judged by. The local engine answers in the same words.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// What was read of one build, in this order: job, allocations, evaluations.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// `GET /v1/job/<id>`; none when 404.
    pub job: Option<Job>,
    /// `GET /v1/job/<id>/allocations?all=true`.
    pub allocations: Vec<Allocation>,
    /// `GET /v1/job/<id>/evaluations`.
    pub evaluations: Vec<Evaluation>,
}

/// A job, as far as it matters here. Field names are Nomad's.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Job {
    /// Job id.
    #[serde(rename = "ID", deserialize_with = "null_is_default")]
    pub id: String,
    /// The parameterized job this is a child of.
    #[serde(rename = "ParentID", deserialize_with = "null_is_default")]
    pub parent_id: String,
    /// Namespace.
    #[serde(deserialize_with = "null_is_default")]
    pub namespace: String,
    /// `pending`, `running` or `dead`; never decide on it alone.
    #[serde(deserialize_with = "null_is_default")]
    pub status: String,
    /// Deregistered.
    #[serde(deserialize_with = "null_is_default")]
    pub stop: bool,
    /// A dispatched child.
    #[serde(deserialize_with = "null_is_default")]
    pub dispatched: bool,
    /// The token it was dispatched with.
    #[serde(deserialize_with = "null_is_default")]
    pub dispatch_idempotency_token: String,
    /// Meta values of the dispatch, over those of the parent.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// Base64 of the payload.
    pub payload: Option<String>,
    /// Nanoseconds since 1970.
    #[serde(deserialize_with = "null_is_default")]
    pub submit_time: i64,
    /// Raft index of its last change.
    #[serde(deserialize_with = "null_is_default")]
    pub modify_index: u64,
    /// Raft index of the last change of its specification.
    #[serde(deserialize_with = "null_is_default")]
    pub job_modify_index: u64,
    /// Raft index of its creation.
    #[serde(deserialize_with = "null_is_default")]
    pub create_index: u64,
    /// What a parameterized job takes.
    pub parameterized_job: Option<Parameterized>,
    /// Groups.
    #[serde(deserialize_with = "null_is_default")]
    pub task_groups: Vec<TaskGroup>,
}

/// `ParameterizedJob`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Parameterized {
    /// `optional`, `required`, `forbidden`, or empty for optional.
    #[serde(deserialize_with = "null_is_default")]
    pub payload: String,
    /// Keys that must be given.
    #[serde(deserialize_with = "null_is_default")]
    pub meta_required: Vec<String>,
    /// Keys that may be given.
    #[serde(deserialize_with = "null_is_default")]
    pub meta_optional: Vec<String>,
}

/// A task group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskGroup {
    /// Its name; ours is `runner`.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// Its tasks.
    #[serde(deserialize_with = "null_is_default")]
    pub tasks: Vec<Task>,
}

/// A task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    /// Its name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// Workload identities beside the default one.
    #[serde(deserialize_with = "null_is_default")]
    pub identities: Vec<Identity>,
}

/// A workload identity.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Identity {
    /// Its name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
}

/// An allocation, from a list or alone (which omits empty fields).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Allocation {
    /// Allocation id.
    #[serde(rename = "ID", deserialize_with = "null_is_default")]
    pub id: String,
    /// The job's id.
    #[serde(rename = "JobID", deserialize_with = "null_is_default")]
    pub job_id: String,
    /// Its namespace.
    #[serde(deserialize_with = "null_is_default")]
    pub namespace: String,
    /// The node's id.
    #[serde(rename = "NodeID", deserialize_with = "null_is_default")]
    pub node_id: String,
    /// The node's name.
    #[serde(deserialize_with = "null_is_default")]
    pub node_name: String,
    /// The group.
    #[serde(deserialize_with = "null_is_default")]
    pub task_group: String,
    /// `pending`, `running`, `complete`, `failed`, `lost`, `unknown`.
    #[serde(deserialize_with = "null_is_default")]
    pub client_status: String,
    /// The client's sentence.
    #[serde(deserialize_with = "null_is_default")]
    pub client_description: String,
    /// `run`, `stop`, `evict`.
    #[serde(deserialize_with = "null_is_default")]
    pub desired_status: String,
    /// The scheduler's sentence.
    #[serde(deserialize_with = "null_is_default")]
    pub desired_description: String,
    /// The allocation that replaces it.
    #[serde(deserialize_with = "null_is_default")]
    pub next_allocation: String,
    /// An evaluation that will replace it.
    #[serde(rename = "FollowupEvalID", deserialize_with = "null_is_default")]
    pub followup_eval_id: String,
    /// Raft index of its creation.
    #[serde(deserialize_with = "null_is_default")]
    pub create_index: u64,
    /// Raft index of its last change.
    #[serde(deserialize_with = "null_is_default")]
    pub modify_index: u64,
    /// Nanoseconds since 1970, by the clock of Nomad's leader.
    #[serde(deserialize_with = "null_is_default")]
    pub create_time: i64,
    /// By task; none until the client has reported.
    pub task_states: Option<BTreeMap<String, TaskState>>,
}

/// The state of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskState {
    /// `pending`, `running`, `dead`.
    #[serde(deserialize_with = "null_is_default")]
    pub state: String,
    /// Nomad's own opinion.
    #[serde(deserialize_with = "null_is_default")]
    pub failed: bool,
    /// Restarts.
    #[serde(deserialize_with = "null_is_default")]
    pub restarts: u64,
    /// RFC 3339.
    pub started_at: Option<String>,
    /// RFC 3339.
    pub finished_at: Option<String>,
    /// Oldest first.
    #[serde(deserialize_with = "null_is_default")]
    pub events: Vec<TaskEvent>,
}

/// A task's event.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskEvent {
    /// `Started`, `Terminated`, `Killing`, …
    #[serde(rename = "Type", deserialize_with = "null_is_default")]
    pub kind: String,
    /// Nanoseconds since 1970.
    #[serde(deserialize_with = "null_is_default")]
    pub time: i64,
    /// For people.
    #[serde(deserialize_with = "null_is_default")]
    pub display_message: String,
    /// Strings by name: `exit_code`, `signal`, `oom_killed`, `exit_message`, …
    #[serde(deserialize_with = "null_is_default")]
    pub details: BTreeMap<String, String>,
    /// The exit code, where it is told; `details` say it too, and success needs all that is said to be 0.
    pub exit_code: Option<i64>,
    /// The signal, where it is told.
    pub signal: Option<i64>,
}

/// An evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Evaluation {
    /// Its id.
    #[serde(rename = "ID", deserialize_with = "null_is_default")]
    pub id: String,
    /// `pending`, `blocked`, `complete`, `failed`, `canceled`.
    #[serde(deserialize_with = "null_is_default")]
    pub status: String,
    /// For people.
    #[serde(deserialize_with = "null_is_default")]
    pub status_description: String,
    /// What set it off.
    #[serde(deserialize_with = "null_is_default")]
    pub triggered_by: String,
    /// Raft index of its creation.
    #[serde(deserialize_with = "null_is_default")]
    pub create_index: u64,
    /// By group: why nothing was placed.
    #[serde(rename = "FailedTGAllocs", deserialize_with = "null_is_default")]
    pub failed_tg_allocs: BTreeMap<String, AllocMetric>,
    /// The evaluation that waits for room.
    #[serde(deserialize_with = "null_is_default")]
    pub blocked_eval: String,
}

/// Why nothing was placed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocMetric {
    /// Nodes looked at.
    #[serde(deserialize_with = "null_is_default")]
    pub nodes_evaluated: u64,
    /// Nodes filtered out by constraints.
    #[serde(deserialize_with = "null_is_default")]
    pub nodes_filtered: u64,
    /// Nodes in the pool.
    #[serde(deserialize_with = "null_is_default")]
    pub nodes_in_pool: u64,
    /// Nodes without room.
    #[serde(deserialize_with = "null_is_default")]
    pub nodes_exhausted: u64,
    /// By constraint.
    #[serde(deserialize_with = "null_is_default")]
    pub constraint_filtered: BTreeMap<String, u64>,
    /// By resource.
    #[serde(deserialize_with = "null_is_default")]
    pub dimension_exhausted: BTreeMap<String, u64>,
    /// By node class.
    #[serde(deserialize_with = "null_is_default")]
    pub class_exhausted: BTreeMap<String, u64>,
    /// Quotas that are used up.
    #[serde(deserialize_with = "null_is_default")]
    pub quota_exhausted: Vec<String>,
}

pub(super) fn null_is_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}
