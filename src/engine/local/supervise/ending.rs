//! How a local build ended: the one file that a supervisor leaves.

use std::io;
use std::path::Path;

use jiff::Timestamp;
use rustix::process::WaitStatus;
use serde::{Deserialize, Serialize};

/// The file's name in the build's directory.
const FILE: &str = "ending.json";

/// How a local build ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Ending {
    /// Why it ended.
    pub(in super::super) why: Why,
    /// When the executor was started.
    pub(in super::super) started: Timestamp,
    /// When nothing of the build was left.
    pub(in super::super) finished: Timestamp,
    /// The executor's exit code, 128 and the signal's number where one ended it.
    pub(in super::super) exit_code: i64,
    /// The signal that ended the executor itself, 0 for none.
    pub(in super::super) signal: i64,
    /// What kept it from being started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) error: Option<String>,
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
    /// The executor could not be started.
    NotStarted,
}

impl Ending {
    pub(super) fn new(why: Why, started: Timestamp, finished: Timestamp, status: Option<WaitStatus>) -> Self {
        let signal = status.and_then(WaitStatus::terminating_signal).unwrap_or(0);
        let exit_code = status.map_or(-1, |status| status.exit_status().unwrap_or(128 + signal));
        Self { why, started, finished, exit_code: exit_code.into(), signal: signal.into(), error: None }
    }

    pub(super) fn because(mut self, error: Option<String>) -> Self {
        self.error = error;
        self
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
