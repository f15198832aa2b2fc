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
    #[serde(rename = "ID")]
    pub id: String,
    /// The parameterized job this is a child of.
    #[serde(rename = "ParentID")]
    pub parent_id: String,
    /// Namespace.
    pub namespace: String,
    /// `pending`, `running` or `dead`; never decide on it alone.
    pub status: String,
    /// Deregistered.
    pub stop: bool,
    /// A dispatched child.
    pub dispatched: bool,
    /// The token it was dispatched with.
    pub dispatch_idempotency_token: String,
    /// Meta values of the dispatch, over those of the parent.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, String>,
    /// Base64 of the payload.
    pub payload: Option<String>,
    /// Nanoseconds since 1970.
    pub submit_time: i64,
    /// Raft index of its last change.
    pub modify_index: u64,
    /// Raft index of the last change of its specification.
    pub job_modify_index: u64,
    /// Raft index of its creation.
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
    pub name: String,
}

/// An allocation, from a list or alone (which omits empty fields).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Allocation {
    /// Allocation id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The job's id.
    #[serde(rename = "JobID")]
    pub job_id: String,
    /// Its namespace.
    pub namespace: String,
    /// The node's id.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// The node's name.
    pub node_name: String,
    /// The group.
    pub task_group: String,
    /// `pending`, `running`, `complete`, `failed`, `lost`, `unknown`.
    pub client_status: String,
    /// The client's sentence.
    pub client_description: String,
    /// `run`, `stop`, `evict`.
    pub desired_status: String,
    /// The scheduler's sentence.
    pub desired_description: String,
    /// The allocation that replaces it.
    pub next_allocation: String,
    /// An evaluation that will replace it.
    #[serde(rename = "FollowupEvalID")]
    pub followup_eval_id: String,
    /// Raft index of its creation.
    pub create_index: u64,
    /// Raft index of its last change.
    pub modify_index: u64,
    /// By task; none until the client has reported.
    pub task_states: Option<BTreeMap<String, TaskState>>,
}

/// The state of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskState {
    /// `pending`, `running`, `dead`.
    pub state: String,
    /// Nomad's own opinion.
    pub failed: bool,
    /// Restarts.
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
    #[serde(rename = "Type")]
    pub kind: String,
    /// Nanoseconds since 1970.
    pub time: i64,
    /// For people.
    pub display_message: String,
    /// Strings by name: `exit_code`, `signal`, `oom_killed`, `exit_message`, …
    #[serde(deserialize_with = "null_is_default")]
    pub details: BTreeMap<String, String>,
    /// The exit code, where there is one.
    pub exit_code: i64,
    /// The signal, where there is one.
    pub signal: i64,
}

/// An evaluation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Evaluation {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// `pending`, `blocked`, `complete`, `failed`, `canceled`.
    pub status: String,
    /// For people.
    pub status_description: String,
    /// What set it off.
    pub triggered_by: String,
    /// Raft index of its creation.
    pub create_index: u64,
    /// By group: why nothing was placed.
    #[serde(rename = "FailedTGAllocs", deserialize_with = "null_is_default")]
    pub failed_tg_allocs: BTreeMap<String, AllocMetric>,
    /// The evaluation that waits for room.
    pub blocked_eval: String,
}

/// Why nothing was placed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AllocMetric {
    /// Nodes looked at.
    pub nodes_evaluated: u64,
    /// Nodes filtered out by constraints.
    pub nodes_filtered: u64,
    /// Nodes in the pool.
    pub nodes_in_pool: u64,
    /// Nodes without room.
    pub nodes_exhausted: u64,
    /// By constraint.
    #[serde(deserialize_with = "null_is_default")]
    pub constraint_filtered: BTreeMap<String, u64>,
    /// By resource.
    #[serde(deserialize_with = "null_is_default")]
    pub dimension_exhausted: BTreeMap<String, u64>,
}

fn null_is_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}
