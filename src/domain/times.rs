//! When a build's executor started and ended, by the clock of its node.

use jiff::Timestamp;

use super::nomad::{Snapshot, TaskState};
use super::placed::newest_runner;

/// The executor's times; both by the same clock, so their difference is right even where the node's clock is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Times {
    /// When the script was last started.
    pub started: Option<Timestamp>,
    /// When it ended after that.
    pub finished: Option<Timestamp>,
}

impl Times {
    /// Of the newest allocation of group `runner`, task `executor`.
    #[must_use]
    pub fn of(snapshot: &Snapshot) -> Self {
        let newest = newest_runner(snapshot);
        let task = newest.and_then(|one| one.task_states.as_ref()).and_then(|tasks| tasks.get("executor"));
        task.map(Self::of_task).unwrap_or_default()
    }

    /// The times of a build that is over `now`, whatever its node's clock says: the time between them stays, and the
    /// end is believed only if it is neither before the claim nor to come. `started` is what was known before.
    #[must_use]
    pub fn by_our_clock(self, started: Option<Timestamp>, created: Timestamp, now: Timestamp) -> Self {
        let end = self.finished.unwrap_or(now);
        let believed = end.clamp(created.min(now), now);
        let start = self.started.or(started);
        let shifted = start.and_then(|start| believed.checked_sub(end.duration_since(start)).ok());
        Self { started: shifted.or(start), finished: Some(believed) }
    }

    fn of_task(task: &TaskState) -> Self {
        let started = last(task, "Started").or_else(|| parse(task.started_at.as_deref()));
        let ended = last(task, "Terminated").or_else(|| parse(task.finished_at.as_deref()));
        Self { started, finished: ended.filter(|ended| started.is_some_and(|started| *ended >= started)) }
    }
}

fn last(task: &TaskState, kind: &str) -> Option<Timestamp> {
    let event = task.events.iter().rev().find(|event| event.kind == kind)?;
    Timestamp::from_nanosecond(i128::from(event.time)).ok()
}

fn parse(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(executor: serde_json::Value) -> Snapshot {
        let runner = |index: u64, tasks: serde_json::Value| serde_json::json!({"TaskGroup": "runner", "CreateIndex": index, "TaskStates": tasks});
        let allocations = [runner(9, serde_json::json!({ "executor": executor })), runner(3, serde_json::Value::Null)];
        Snapshot {
            allocations: allocations
                .into_iter()
                .map(|one| serde_json::from_value(one).expect("an allocation"))
                .collect(),
            ..Snapshot::default()
        }
    }

    fn event(kind: &str, second: i64) -> serde_json::Value {
        serde_json::json!({"Type": kind, "Time": second * 1_000_000_000})
    }

    fn second(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn the_last_start_and_the_end_after_it_count() {
        let events = [event("Started", 10), event("Terminated", 12), event("Restarting", 13), event("Started", 20)];
        let running = Times::of(&snapshot(serde_json::json!({ "State": "running", "Events": events })));
        assert_eq!(running, Times { started: second(20), finished: None });

        let ended = Times::of(&snapshot(serde_json::json!({
            "State": "dead", "Events": [event("Started", 20), event("Terminated", 24)]
        })));
        assert_eq!(ended, Times { started: second(20), finished: second(24) });
    }

    #[test]
    fn what_never_started_has_no_times() {
        assert_eq!(Times::of(&Snapshot::default()), Times::default());
        let task = serde_json::json!({"State": "dead", "FinishedAt": "2026-11-21T12:45:05Z"});
        assert_eq!(Times::of(&snapshot(task)), Times::default());
    }

    #[test]
    fn a_node_whose_clock_is_wrong_still_tells_how_long_it_took() {
        let at = |n: i64| Timestamp::from_second(n).expect("in range");
        let (created, now) = (at(1_000), at(1_100));
        let times = |started: i64, finished: i64| Times { started: second(started), finished: second(finished) };
        assert_eq!(times(1_010, 1_022).by_our_clock(None, created, now), times(1_010, 1_022));
        assert_eq!(times(5_010, 5_022).by_our_clock(None, created, now), times(1_088, 1_100));
        assert_eq!(times(10, 22).by_our_clock(None, created, now), times(988, 1_000));
        assert_eq!(Times::default().by_our_clock(second(1_010), created, now), times(1_010, 1_100));
        assert_eq!(Times::default().by_our_clock(None, created, now), Times { started: None, finished: Some(now) });
    }
}
