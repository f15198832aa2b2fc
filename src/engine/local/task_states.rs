//! The tasks of a local build as Nomad would tell of them, event by event.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::supervise::{Ending, TaskEnd, Why};
use super::words::nanoseconds;
use super::{End, State, rooms};
use crate::domain::nomad::{TaskEvent, TaskState};
use crate::domain::outcome::EXECUTOR;
use crate::domain::runner::PREPARE;

/// All that is known of the tasks; of one that was never started only that.
pub(super) fn of(state: &State) -> BTreeMap<String, TaskState> {
    rooms::TASKS.into_iter().map(|name| (name.to_owned(), one(name, state))).collect()
}

fn one(name: &str, state: &State) -> TaskState {
    match &state.end {
        None => running(name, state),
        Some(End::Told(ending)) => ended(name, ending),
        Some(End::Failed(why)) if name == EXECUTOR => {
            TaskState { failed: true, ..dead(vec![driver_failure(Timestamp::UNIX_EPOCH, why)]) }
        }
        Some(End::Lost) if name == EXECUTOR => dead(state.script.map(started).into_iter().collect()),
        Some(End::Failed(_) | End::Lost | End::NeverStarted) => dead(Vec::new()),
    }
}

fn running(name: &str, state: &State) -> TaskState {
    let begun = if name == EXECUTOR { state.script } else { state.started };
    // Nothing else begins before it has ended well.
    let over = name == PREPARE && state.script.is_some();
    let word = match begun {
        Some(_) if over => "dead",
        Some(_) => "running",
        None => "pending",
    };
    TaskState {
        state: word.to_owned(),
        started_at: begun.map(|time| time.to_string()),
        events: begun.map(started).into_iter().collect(),
        ..TaskState::default()
    }
}

fn dead(events: Vec<TaskEvent>) -> TaskState {
    TaskState { state: "dead".to_owned(), events, ..TaskState::default() }
}

fn ended(name: &str, ending: &Ending) -> TaskState {
    let end = if name == EXECUTOR { executor_end(ending) } else { ending.others.get(name).cloned() };
    let is_culprit = ending.culprit.as_deref() == Some(name);
    let by_itself = is_culprit
        || match name {
            EXECUTOR => ending.why == Why::Exited,
            PREPARE => end.as_ref().is_some_and(|end| end.exit_code == 0),
            _sidecars => false,
        };
    let mut events: Vec<TaskEvent> = end.iter().map(|end| started(end.started)).collect();
    let finished = end.as_ref().and_then(|end| end.finished).unwrap_or(ending.finished);
    if !by_itself {
        events.extend(from_outside(name, ending, finished));
    }
    events.extend(end.as_ref().map(|end| terminated(end, finished)));
    if is_culprit {
        events.push(event("Not Restarting", finished, "Policy allows no restarts"));
    } else if !by_itself && end.is_some() {
        events.push(event("Killed", finished, "Task successfully killed"));
    }
    let failed_itself = by_itself && name == EXECUTOR && ending.exit_code != 0;
    TaskState {
        failed: is_culprit || failed_itself,
        started_at: end.as_ref().map(|end| end.started.to_string()),
        finished_at: Some(finished.to_string()),
        ..dead(events)
    }
}

fn executor_end(ending: &Ending) -> Option<TaskEnd> {
    let started = ending.started.filter(|_| ending.why != Why::NotStarted)?;
    let Ending { finished, exit_code, signal, .. } = *ending;
    Some(TaskEnd { started, finished: Some(finished), exit_code, signal })
}

/// Why a task was ended that had not ended.
fn from_outside(name: &str, ending: &Ending, time: Timestamp) -> Vec<TaskEvent> {
    let killing = event("Killing", time, "Sent interrupt");
    match ending.why {
        Why::NotStarted if name == EXECUTOR => {
            vec![driver_failure(time, ending.error.as_deref().unwrap_or_default())]
        }
        Why::NotStarted | Why::Exited => vec![event("Leader Task Dead", time, "Leader Task in Group dead"), killing],
        Why::Sibling => {
            let sibling = ending.culprit.as_deref().unwrap_or_default();
            let mut failed = event("Sibling Task Failed", time, &format!("Task's sibling {sibling:?} failed"));
            failed.details.insert("failed_sibling".to_owned(), sibling.to_owned());
            vec![failed, killing]
        }
        Why::Stopped | Why::Timeout => vec![killing],
    }
}

fn event(kind: &str, time: Timestamp, message: &str) -> TaskEvent {
    TaskEvent {
        kind: kind.to_owned(),
        time: nanoseconds(time),
        display_message: message.to_owned(),
        ..TaskEvent::default()
    }
}

fn started(time: Timestamp) -> TaskEvent {
    event("Started", time, "Task started by client")
}

fn driver_failure(time: Timestamp, why: &str) -> TaskEvent {
    event("Driver Failure", time, &format!("the build could not be started: {why}"))
}

fn terminated(end: &TaskEnd, time: Timestamp) -> TaskEvent {
    let details = [
        ("exit_code", end.exit_code.to_string()),
        ("signal", end.signal.to_string()),
        ("oom_killed", "false".to_owned()),
    ];
    TaskEvent {
        details: details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        exit_code: Some(end.exit_code),
        signal: Some(end.signal),
        ..event("Terminated", time, &format!("Exit Code: {}", end.exit_code))
    }
}
