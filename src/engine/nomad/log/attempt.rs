//! Which allocation's log comes next, and what to say while there is none.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::domain::nomad::{Allocation, Snapshot, TaskState};
use crate::domain::outcome::{GROUP, Outcome, Verdict};

/// How long after a task's end its last bytes may still be on their way into the file.
const SETTLES: SignedDuration = SignedDuration::from_secs(10);

/// What is to be read next.
pub(super) enum Next<'a> {
    /// This one's log, which exists or may do so at any moment.
    Read(&'a Allocation),
    /// Nothing now; another one may come.
    None,
}

/// The oldest attempt that is not `done` and has a log, or may have one.
pub(super) fn next<'a>(allocations: &'a [Allocation], done: &BTreeSet<String>, task: &str) -> Next<'a> {
    let mut open: Vec<&Allocation> =
        allocations.iter().filter(|one| one.task_group == GROUP && !done.contains(&one.id)).collect();
    open.sort_by_key(|one| one.create_index);
    let newest = open.last().map(|one| one.id.clone());
    for one in open {
        let state = one.task_states.as_ref().and_then(|states| states.get(task));
        let is_newest = newest.as_ref() == Some(&one.id);
        match state {
            Some(state) if has_started(state) => return Next::Read(one),
            Some(state) if state.state == "dead" => {}
            Some(_) | None if !is_newest => {}
            Some(_) | None if matches!(one.client_status.as_str(), "pending" | "running") => return Next::Read(one),
            Some(_) | None => {}
        }
    }
    Next::None
}

/// Whether a newer allocation has taken this one's place.
pub(super) fn is_left(snapshot: &Snapshot, id: &str) -> bool {
    let runner = snapshot.allocations.iter().filter(|one| one.task_group == GROUP);
    runner.max_by_key(|one| one.create_index).is_some_and(|newest| newest.id != id)
}

/// The task is dead, and has been for so long that nothing more comes: its log can be read without following it.
pub(super) fn is_settled(allocation: &Allocation, task: &str, now: Timestamp) -> bool {
    let state = allocation.task_states.as_ref().and_then(|states| states.get(task));
    let Some(state) = state.filter(|state| state.state == "dead") else {
        return false;
    };
    let finished = state.finished_at.as_deref().and_then(|text| text.parse::<Timestamp>().ok());
    finished.is_some_and(|finished| now.duration_since(finished) > SETTLES)
}

/// Whether the allocation's task is known to be dead, or gone with its allocation.
pub(super) fn is_dead(allocations: &[Allocation], id: &str, task: &str) -> bool {
    let Some(allocation) = allocations.iter().find(|one| one.id == id) else {
        return true;
    };
    let state = allocation.task_states.as_ref().and_then(|states| states.get(task));
    state.is_some_and(|state| state.state == "dead")
}

fn has_started(state: &TaskState) -> bool {
    state.state == "running" || state.events.iter().any(|event| event.kind == "Started")
}

/// Where another attempt begins.
pub(super) fn again(allocation: &Allocation, number: u32) -> String {
    let node = &allocation.node_name;
    if node.is_empty() { format!("attempt {number} begins") } else { format!("attempt {number} begins on {node}") }
}

/// What a build that is not over waits for, to stand behind "waiting for".
pub(super) fn waits_for(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Queued { reason } if reason.is_empty() => "a node".to_owned(),
        Verdict::Queued { reason } => format!("a node with room: {reason}"),
        Verdict::Unplaceable { reason } => format!("a node that fits: {reason}"),
        Verdict::Preparing | Verdict::Running => "the build to start".to_owned(),
        Verdict::Open { reason, .. } => format!("Nomad: {reason}"),
        Verdict::Ended(_) => "nothing".to_owned(),
    }
}

/// Why there is no log of a build that is over.
pub(super) fn never(verdict: &Verdict, task: &str) -> String {
    let Verdict::Ended(outcome) = verdict else {
        return format!("the task {task} has no log");
    };
    match outcome {
        Outcome::Expired => "Nomad no longer knows this build, and its log went with it".to_owned(),
        Outcome::Infra { reason } => format!("the task {task} never started: {reason}"),
        Outcome::Lost { reason } => format!("the task {task} never started: {reason}"),
        Outcome::Skipped { reason } => format!("the build was skipped: {reason}"),
        Outcome::Cancelled { .. } | Outcome::Timeout => format!("the build was stopped before its task {task} started"),
        Outcome::Success | Outcome::Failure { .. } | Outcome::Oom { .. } => format!("the task {task} never started"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::nomad::TaskEvent;

    fn allocation(id: &str, index: u64, client: &str, state: Option<(&str, &[&str])>) -> Allocation {
        let state = state.map(|(state, events)| {
            let event = |kind: &&str| TaskEvent { kind: (*kind).to_owned(), ..TaskEvent::default() };
            let events = events.iter().map(event).collect();
            BTreeMap::from([(
                "executor".to_owned(),
                TaskState { state: state.to_owned(), events, ..TaskState::default() },
            )])
        });
        Allocation {
            id: id.to_owned(),
            create_index: index,
            client_status: client.to_owned(),
            task_group: GROUP.to_owned(),
            task_states: state,
            ..Allocation::default()
        }
    }

    fn reads(allocations: &[Allocation], done: &[&str]) -> Option<String> {
        let done = done.iter().map(|id| (*id).to_owned()).collect();
        match next(allocations, &done, "executor") {
            Next::Read(one) => Some(one.id.clone()),
            Next::None => None,
        }
    }

    #[test]
    fn attempts_are_read_in_their_order() {
        let first = allocation("a", 1, "failed", Some(("dead", &["Started", "Terminated"])));
        let second = allocation("b", 2, "running", Some(("running", &["Started"])));
        let both = [second, first];
        assert_eq!(reads(&both, &[]).as_deref(), Some("a"));
        assert_eq!(reads(&both, &["a"]).as_deref(), Some("b"));
        assert_eq!(reads(&both, &["a", "b"]), None);
    }

    #[test]
    fn an_attempt_that_never_started_has_no_log() {
        let failed = allocation("a", 1, "failed", Some(("dead", &["Driver Failure"])));
        assert_eq!(reads(std::slice::from_ref(&failed), &[]), None);
        let evicted = allocation("b", 2, "complete", None);
        let placed = allocation("c", 3, "pending", None);
        assert_eq!(reads(&[failed, evicted, placed], &[]).as_deref(), Some("c"));
    }

    #[test]
    fn a_log_has_settled_some_time_after_its_tasks_end() {
        let mut one = allocation("a", 1, "complete", Some(("dead", &["Started"])));
        let now: Timestamp = "2026-01-01T00:01:00Z".parse().unwrap();
        assert!(!is_settled(&one, "executor", now));
        let states = one.task_states.as_mut().unwrap();
        states.get_mut("executor").unwrap().finished_at = Some("2026-01-01T00:00:55.5Z".to_owned());
        assert!(!is_settled(&one, "executor", now));
        assert!(is_settled(&one, "executor", now + SETTLES));
    }
}
