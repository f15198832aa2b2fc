//! How the executor's last run ended, by its events.

use super::super::nomad::{TaskEvent, TaskState};

/// Events that mean that something else ended the task.
const FROM_OUTSIDE: [&str; 4] = ["Killing", "Sibling Task Failed", "Leader Task Dead", "Main Tasks Dead"];

/// The events of the last run: those behind the last `Restarting`, or behind the end of the run before the last `Started`.
pub(super) struct LastRun<'a>(&'a [TaskEvent]);

/// What a `Terminated` event says.
pub(super) struct Termination {
    /// The exit code; none where nothing tells it.
    pub(super) exit_code: Option<i64>,
    /// The signal, 0 for none.
    pub(super) signal: i64,
    /// The kernel ended it, or a part of it, for want of memory.
    pub(super) oom: bool,
}

impl<'a> LastRun<'a> {
    pub(super) fn of(state: &'a TaskState) -> Self {
        let events = state.events.as_slice();
        let last = events.iter().rposition(|event| matches!(event.kind.as_str(), "Started" | "Restarting"));
        let Some(begun) = last else { return Self(events) };
        // A task may be told to end while it is being started: seen, that `Killing` stands before its `Started`.
        let is_bound = |event: &TaskEvent| event.kind == "Restarting" || is_termination(event);
        let up_to = events.get(..=begun).unwrap_or_default();
        let from = up_to.iter().rposition(is_bound).map_or(0, |at| at + 1);
        Self(events.get(from..).unwrap_or_default())
    }

    /// How it terminated, unless something else had set about ending it before.
    pub(super) fn ended_by_itself(&self) -> Option<Termination> {
        let at = self.0.iter().position(is_termination)?;
        let ended = self.0.iter().take(at).any(|event| FROM_OUTSIDE.contains(&event.kind.as_str()));
        let last = self.0.iter().rev().find(|event| is_termination(event))?;
        (!ended).then(|| Termination::read(last))
    }

    /// For people, where the exit code is -1.
    pub(super) fn lost_process(&self) -> String {
        let message = self.0.iter().rev().find(|event| is_termination(event));
        let message =
            message.and_then(|event| event.details.get("exit_message")).map(String::as_str).unwrap_or_default();
        if message.is_empty() {
            return "Nomad lost sight of the script's process".to_owned();
        }
        format!("Nomad lost sight of the script's process: {}", super::reason::fit(message))
    }
}

/// Whether any run of the task has begun.
pub(super) fn has_started(state: &TaskState) -> bool {
    state.events.iter().any(|event| event.kind == "Started")
}

fn is_termination(event: &TaskEvent) -> bool {
    event.kind == "Terminated"
}

impl Termination {
    /// Nomad tells each number twice; should they differ, the one that is not 0 counts.
    fn read(event: &TaskEvent) -> Self {
        Self {
            exit_code: told(event, "exit_code", event.exit_code),
            signal: told(event, "signal", event.signal).unwrap_or(0),
            oom: event.details.get("oom_killed").is_some_and(|text| text == "true"),
        }
    }
}

fn told(event: &TaskEvent, name: &str, field: Option<i64>) -> Option<i64> {
    match event.details.get(name) {
        // A detail that is no number is an answer that is not understood: nothing is known, whatever the field says.
        Some(text) => text.parse::<i64>().ok().map(|code| if code == 0 { field.unwrap_or(0) } else { code }),
        None => field,
    }
}
