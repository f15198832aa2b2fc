//! A local build as Nomad would tell of it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::supervise::{Ending, Why};
use super::{End, Recorded, Shared, State};
use crate::domain::nomad::{AllocMetric, Allocation, Evaluation, Job, Snapshot, Task, TaskEvent, TaskGroup, TaskState};
use crate::domain::outcome::{EXECUTOR, GROUP};

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
        (None, None) if !state.stop => snapshot.evaluations.push(waiting(shared)),
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
    let executor = Task { name: EXECUTOR.to_owned(), ..Task::default() };
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
        task_groups: vec![TaskGroup { name: GROUP.to_owned(), tasks: vec![executor] }],
        ..Job::default()
    }
}

/// The evaluation of a build that waits for its turn.
fn waiting(shared: &Shared) -> Evaluation {
    let places = shared.settings.builds.max(1);
    let full = BTreeMap::from([(format!("builds at once ({places})"), 1)]);
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
        task_states: Some(BTreeMap::from([(EXECUTOR.to_owned(), executor(state))])),
        ..Allocation::default()
    }
}

fn client_status(state: &State) -> (&'static str, &'static str) {
    match &state.end {
        None => ("running", ""),
        Some(End::Lost) => ("lost", ""),
        Some(End::NeverStarted) => ("complete", ""),
        Some(End::Failed(_)) => ("failed", "Failed tasks"),
        Some(End::Told(Ending { why: Why::NotStarted, .. })) => ("failed", "Failed tasks"),
        Some(End::Told(Ending { why: Why::Timeout, .. })) => ("complete", TOO_LONG),
        Some(End::Told(ending)) if ending.why == Why::Exited && ending.exit_code != 0 => ("failed", "Failed tasks"),
        Some(End::Told(_)) => ("complete", "All tasks have completed"),
    }
}

fn executor(state: &State) -> TaskState {
    let (finished, failed) = match &state.end {
        Some(End::Told(ending)) => (Some(ending.finished), ending.why == Why::Exited && ending.exit_code != 0),
        Some(End::Failed(_)) => (None, true),
        Some(End::Lost | End::NeverStarted) | None => (None, false),
    };
    TaskState {
        state: if state.end.is_some() { "dead" } else { "running" }.to_owned(),
        failed,
        started_at: state.started.map(|time| time.to_string()),
        finished_at: finished.map(|time| time.to_string()),
        events: events(state),
        ..TaskState::default()
    }
}

fn events(state: &State) -> Vec<TaskEvent> {
    let started = match &state.end {
        // Both ends by one clock and one process.
        Some(End::Told(ending)) => Some(ending.started),
        Some(End::Lost | End::NeverStarted | End::Failed(_)) | None => state.started,
    };
    let started = started.map(|time| event("Started", time, "Task started by client"));
    let mut events: Vec<TaskEvent> = started.into_iter().collect();
    match &state.end {
        None | Some(End::Lost | End::NeverStarted) => {}
        Some(End::Failed(why)) => events.push(driver_failure(Timestamp::UNIX_EPOCH, why)),
        Some(End::Told(ending)) => match ending.why {
            Why::NotStarted => {
                events.clear();
                events.push(driver_failure(ending.finished, ending.error.as_deref().unwrap_or_default()));
            }
            Why::Exited => events.push(terminated(ending)),
            Why::Stopped | Why::Timeout => {
                events.push(event("Killing", ending.finished, "Sent interrupt"));
                events.push(terminated(ending));
                events.push(event("Killed", ending.finished, "Task successfully killed"));
            }
        },
    }
    events
}

fn event(kind: &str, time: Timestamp, message: &str) -> TaskEvent {
    TaskEvent {
        kind: kind.to_owned(),
        time: nanoseconds(time),
        display_message: message.to_owned(),
        ..TaskEvent::default()
    }
}

fn driver_failure(time: Timestamp, why: &str) -> TaskEvent {
    event("Driver Failure", time, &format!("the build could not be started: {why}"))
}

fn terminated(ending: &Ending) -> TaskEvent {
    let details = [
        ("exit_code", ending.exit_code.to_string()),
        ("signal", ending.signal.to_string()),
        ("oom_killed", "false".to_owned()),
    ];
    TaskEvent {
        details: details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        exit_code: Some(ending.exit_code),
        signal: Some(ending.signal),
        ..event("Terminated", ending.finished, &format!("Exit Code: {}", ending.exit_code))
    }
}
