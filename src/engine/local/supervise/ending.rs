//! How a local build ended: the one file that a supervisor leaves.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use jiff::Timestamp;
use rustix::process::WaitStatus;
use serde::{Deserialize, Serialize};

use super::task::{Task, Tasks};
use crate::domain::outcome::EXECUTOR;

/// The file's name in the build's directory.
const FILE: &str = "ending.json";

/// How a local build ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Ending {
    /// Why it ended.
    pub(in super::super) why: Why,
    /// When the executor was started; none if it never was.
    pub(in super::super) started: Option<Timestamp>,
    /// When nothing of the build was left.
    pub(in super::super) finished: Timestamp,
    /// The executor's exit code, 128 and the signal's number where one ended it.
    pub(in super::super) exit_code: i64,
    /// The signal that ended the executor itself, 0 for none.
    pub(in super::super) signal: i64,
    /// The task whose end was the build's, for [`Why::Sibling`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) culprit: Option<String>,
    /// How the other tasks ended, by name.
    #[serde(default)]
    pub(in super::super) others: BTreeMap<String, TaskEnd>,
    /// What kept it from being started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) error: Option<String>,
}

/// How a task beside the executor ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct TaskEnd {
    pub(in super::super) started: Timestamp,
    /// None for one that was not seen to end.
    pub(in super::super) finished: Option<Timestamp>,
    pub(in super::super) exit_code: i64,
    pub(in super::super) signal: i64,
}

/// Why a local build ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in super::super) enum Why {
    /// By itself.
    Exited,
    /// Because its owner said so, or was gone.
    Stopped,
    /// It ran longer than its limit.
    Timeout,
    /// Another task failed: `prepare`, or one that must not end before the script.
    Sibling,
    /// A task could not be started.
    NotStarted,
}

impl Ending {
    pub(super) fn of(why: Why, tasks: &Tasks) -> Self {
        let executor = tasks.get(EXECUTOR);
        let (exit_code, signal) = codes(executor);
        let others = tasks.iter().filter(|task| task.name != EXECUTOR);
        Self {
            why,
            started: executor.map(|task| task.started),
            finished: Timestamp::now(),
            exit_code,
            signal,
            culprit: None,
            others: others.map(|task| (task.name.to_owned(), TaskEnd::of(task))).collect(),
            error: None,
        }
    }

    /// Written beside and renamed, so that it is there whole or not at all.
    pub(super) fn write(&self, dir: &Path) -> io::Result<()> {
        super::super::files::write_json(&dir.join(FILE), self)
    }

    /// What the supervisor of `dir` wrote; none as long as it has not, or if it never could.
    pub(crate) fn read(dir: &Path) -> Option<Self> {
        super::super::files::read_json(&dir.join(FILE)).ok().flatten()
    }
}

impl TaskEnd {
    fn of(task: &Task) -> Self {
        let (exit_code, signal) = codes(Some(task));
        Self { started: task.started, finished: task.ended.map(|(at, _)| at), exit_code, signal }
    }
}

/// Exit code, 128 and the number for a signal, and that signal; -1 for a task that was not seen to end.
fn codes(task: Option<&Task>) -> (i64, i64) {
    let status = task.and_then(|task| task.ended).map(|(_, status)| status);
    let signal = status.and_then(WaitStatus::terminating_signal).unwrap_or(0);
    let exit_code = status.map_or(-1, |status| status.exit_status().unwrap_or(128 + signal));
    (exit_code.into(), signal.into())
}
