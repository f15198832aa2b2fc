//! What the record of a runner knows beside that of a build.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::duration::Span;
use crate::domain::job::JobSpec;

/// The program that the executor of a runner runs.
const COMMAND: [&str; 2] = ["albatros", "runner"];

/// A runner of a forge's workflows, from its claim to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// The canonical address of what it serves: a repository, an owner of repositories, or a whole forge.
    pub scope: String,
    /// The labels of its pool, as configured.
    pub labels: Vec<String>,
    /// The group of runners that it is in; GitHub only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How the forge's list names it.
    pub name: String,
    /// The longest that it may run.
    pub timeout: Span,
    /// The job that it was started for. It may take another one.
    pub job: JobAt,
    /// Which try this is for that job, from 1 on.
    pub attempt: u32,
    /// When it was last about to be registered; written before the forge is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registering: Option<Timestamp>,
    /// Its number at the forge, once registered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<u64>,
    /// When it was first known that it has a job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<Timestamp>,
    /// The number of the job that it has taken, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_job: Option<u64>,
    /// When its forge said that the job it was started for needs no runner any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unneeded: Option<Timestamp>,
}

/// A job of a workflow, at its forge.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct JobAt {
    /// Its number.
    pub id: u64,
    /// Which run of it this is, as the forge counts: from 1 on, and at Gitea 0 until a runner has it.
    pub attempt: u64,
    /// The canonical address of its repository.
    pub repo: String,
    /// Its name.
    pub name: String,
    /// Its page; none where the forge gave no address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Runner {
    /// Whether it still waits for a job, as far as is known.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.taken.is_none()
    }

    /// What its build is to do.
    #[must_use]
    pub fn spec() -> Option<JobSpec> {
        let spec = serde_json::json!({ "name": "runner", "command": COMMAND, "checkout": false });
        serde_json::from_value(spec).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runner_runs_our_own_program_in_an_empty_workspace() {
        let spec = Runner::spec().unwrap();
        assert_eq!((spec.command.as_slice(), spec.checkout), (COMMAND.map(str::to_owned).as_slice(), Some(false)));
    }
}
