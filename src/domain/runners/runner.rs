//! What the record of a runner knows beside that of a build.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::duration::Span;
use crate::domain::job::JobSpec;
use crate::domain::outcome::{Outcome, Verdict};

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

    /// What a verdict comes to that was found of a build, where that is a runner: its program ends well whatever comes of
    /// its job, so that any other end is no workflow's.
    #[must_use]
    pub fn judge(runner: Option<&Self>, verdict: Verdict) -> Verdict {
        match (runner, verdict) {
            (Some(_), Verdict::Ended(Outcome::Failure { exit_code, signal })) => {
                let how = if signal == 0 { format!("with exit {exit_code}") } else { format!("by signal {signal}") };
                Verdict::Ended(Outcome::Infra { reason: format!("the runner ended {how}: see its log") })
            }
            (Some(_) | None, verdict) => verdict,
        }
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
    fn a_runner_that_fails_is_no_workflow_s_failure() {
        let runner = Runner {
            scope: String::new(),
            labels: Vec::new(),
            group: None,
            name: String::new(),
            timeout: Span::seconds(1),
            job: JobAt { id: 1, attempt: 0, repo: String::new(), name: String::new(), url: None },
            attempt: 1,
            registering: None,
            registered: None,
            taken: None,
            taken_job: None,
            unneeded: None,
        };
        let failed = |exit_code, signal| Verdict::Ended(Outcome::Failure { exit_code, signal });
        for (exit_code, signal, words) in [(1, 0, "with exit 1"), (137, 9, "by signal 9")] {
            let judged = Runner::judge(Some(&runner), failed(exit_code, signal));
            let Verdict::Ended(Outcome::Infra { reason }) = judged else { panic!("{judged:?}") };
            assert!(reason.contains(words), "{reason}");
            assert_eq!(Runner::judge(None, failed(exit_code, signal)), failed(exit_code, signal));
        }
        assert_eq!(Runner::judge(Some(&runner), Verdict::Ended(Outcome::Success)), Verdict::Ended(Outcome::Success));
    }

    #[test]
    fn a_runner_runs_our_own_program_in_an_empty_workspace() {
        let spec = Runner::spec().unwrap();
        assert_eq!((spec.command.as_slice(), spec.checkout), (COMMAND.map(str::to_owned).as_slice(), Some(false)));
    }
}
