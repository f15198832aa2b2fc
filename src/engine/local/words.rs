//! A local build as Nomad would tell of it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::supervise::{Ending, Why};
use super::{End, Recorded, Shared, State, rooms, task_states};
use crate::domain::nomad::{AllocMetric, Allocation, Evaluation, Job, Snapshot, Task, TaskGroup};
use crate::domain::outcome::GROUP;

/// Nomad's description of an allocation that ran longer than its group may.
const TOO_LONG: &str = "allocation exceeded max_run_duration";
/// Nomad's description of an allocation whose node is gone.
const NODE_LOST: &str = "alloc is lost since its node is down";

/// Since 1970; 0 for what is beyond the range.
pub(super) fn nanoseconds(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanosecond()).unwrap_or(0)
}

pub(super) fn snapshot(recorded: &Recorded, shared: &Shared) -> Snapshot {
    let state = &recorded.state;
    let mut snapshot = Snapshot { job: Some(job(recorded, shared)), ..Snapshot::default() };
    match (&state.started, &state.end) {
        (None, Some(End::Lost | End::Failed(_))) | (Some(_), _) => snapshot.allocations.push(allocation(recorded)),
        (None, None) if !state.stop => snapshot.evaluations.push(waiting(recorded, shared)),
        (None, None | Some(End::NeverStarted | End::Told(_))) => {}
    }
    snapshot
}

fn job(recorded: &Recorded, shared: &Shared) -> Job {
    let state = &recorded.state;
    let status = match (&state.started, &state.end) {
        (_, Some(_)) => "dead",
        (Some(_), None) => "running",
        (None, None) => "pending",
    };
    let task = |name: &str| Task { name: name.to_owned(), ..Task::default() };
    Job {
        id: recorded.id.to_string(),
        parent_id: recorded.id.builder().to_owned(),
        namespace: shared.settings.namespace.clone(),
        status: status.to_owned(),
        stop: state.stop,
        dispatched: true,
        dispatch_idempotency_token: recorded.claim.to_string(),
        meta: recorded.meta.clone(),
        submit_time: nanoseconds(recorded.submitted),
        task_groups: vec![TaskGroup { name: GROUP.to_owned(), tasks: rooms::TASKS.map(task).to_vec() }],
        ..Job::default()
    }
}

/// The evaluation of a build that waits for its turn.
fn waiting(recorded: &Recorded, shared: &Shared) -> Evaluation {
    let full = match &recorded.job {
        None => format!("builds at once ({})", shared.settings.builds.max(1)),
        Some(_) => format!("jobs at once ({})", shared.settings.jobs.max(1)),
    };
    let full = BTreeMap::from([(full, 1)]);
    let metric = AllocMetric {
        nodes_evaluated: 1,
        nodes_in_pool: 1,
        nodes_exhausted: 1,
        dimension_exhausted: full,
        ..AllocMetric::default()
    };
    Evaluation {
        status: "blocked".to_owned(),
        triggered_by: "queued-allocs".to_owned(),
        failed_tg_allocs: BTreeMap::from([(GROUP.to_owned(), metric)]),
        ..Evaluation::default()
    }
}

fn allocation(recorded: &Recorded) -> Allocation {
    let state = &recorded.state;
    let (client, description) = client_status(state);
    let lost = matches!(state.end, Some(End::Lost));
    Allocation {
        id: recorded.allocation.clone(),
        job_id: recorded.id.to_string(),
        node_name: "this machine".to_owned(),
        task_group: GROUP.to_owned(),
        client_status: client.to_owned(),
        client_description: description.to_owned(),
        desired_status: if state.stop || lost { "stop" } else { "run" }.to_owned(),
        desired_description: if lost { NODE_LOST } else { "" }.to_owned(),
        create_index: 1,
        modify_index: 1,
        task_states: Some(task_states::of(state)),
        ..Allocation::default()
    }
}

fn client_status(state: &State) -> (&'static str, &'static str) {
    match &state.end {
        None => ("running", ""),
        Some(End::Lost) => ("lost", ""),
        Some(End::NeverStarted) => ("complete", ""),
        Some(End::Failed(_)) => ("failed", "Failed tasks"),
        Some(End::Told(Ending { why: Why::NotStarted | Why::Sibling, .. })) => ("failed", "Failed tasks"),
        Some(End::Told(Ending { why: Why::Timeout, .. })) => ("complete", TOO_LONG),
        Some(End::Told(ending)) if ending.why == Why::Exited && ending.exit_code != 0 => ("failed", "Failed tasks"),
        Some(End::Told(_)) => ("complete", "All tasks have completed"),
    }
}
