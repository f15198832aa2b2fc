//! How far a job is, as serve tells the controller of the build that started it.

use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::domain::id::{BuildId, ClaimId, JobName};
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::secret::Secret;

/// All jobs of a build, and what to ask with for newer ones.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// Another one as soon as anything in `jobs` is another; says nothing of earlier or later.
    pub version: u64,
    /// By name.
    pub jobs: Vec<Job>,
}

/// One job of a build.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Job {
    /// Its name in the build.
    pub name: JobName,
    /// Its own build, once there is one.
    #[serde(default)]
    pub build: Option<BuildId>,
    /// Its own claim.
    pub claim: ClaimId,
    /// Those that must have ended before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<JobName>,
    /// How far it is; once it is over, how it ended.
    pub state: JobState,
    /// For people; may be empty.
    #[serde(default)]
    pub reason: String,
    /// It is over, and `state` will not change.
    pub ended: bool,
    /// What its script or command ended with.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// A service that runs, and whose controller has said that its port takes connections.
    #[serde(default)]
    pub ready: bool,
    /// `host:port` of a service's controller.
    #[serde(default)]
    pub address: Option<String>,
    /// What a service's controller asks of who connects; of a job that is no service none.
    #[serde(default, serialize_with = "exposed", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub secret: Option<Secret>,
}

/// Job lists go to the controller of their own build and to nobody else: this is where their secrets become bytes.
fn exposed<S: Serializer>(secret: &Option<Secret>, to: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(to)
}

/// How far a job is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Until a person approves it.
    Held,
    /// To be dispatched.
    Claimed,
    /// No node has room.
    Queued,
    /// No node can ever take it as things stand.
    Unplaceable,
    /// Placed; its script has not started.
    Preparing,
    /// Its script runs.
    Running,
    /// Not over, and no more can be said: its node is out of reach, or another try is coming.
    Waiting,
    /// Exit code 0.
    Success,
    /// Any other.
    Failure,
    /// Out of memory.
    Oom,
    /// Longer than its limit.
    Timeout,
    /// Stopped, by a person or with its build.
    Cancelled,
    /// Failed for a reason outside its script.
    Infra,
    /// Lost with its node.
    Lost,
    /// Nomad has forgotten it.
    Expired,
}

impl JobState {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Claimed => "claimed",
            Self::Queued => "queued",
            Self::Unplaceable => "unplaceable",
            Self::Preparing => "preparing",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Oom => "oom",
            Self::Timeout => "timeout",
            Self::Cancelled => "cancelled",
            Self::Infra => "infra",
            Self::Lost => "lost",
            Self::Expired => "expired",
        }
    }
}

impl From<&Verdict> for JobState {
    fn from(verdict: &Verdict) -> Self {
        match verdict {
            Verdict::Ended(outcome) => outcome.into(),
            Verdict::Queued { .. } => Self::Queued,
            Verdict::Unplaceable { .. } => Self::Unplaceable,
            Verdict::Preparing => Self::Preparing,
            Verdict::Running => Self::Running,
            Verdict::Open { .. } => Self::Waiting,
        }
    }
}

impl From<&Outcome> for JobState {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Failure { .. } => Self::Failure,
            Outcome::Oom { .. } => Self::Oom,
            Outcome::Timeout => Self::Timeout,
            Outcome::Cancelled { .. } => Self::Cancelled,
            Outcome::Infra { .. } => Self::Infra,
            Outcome::Lost { .. } => Self::Lost,
            // A job is never skipped by this outcome: a plan skips it before it is started.
            Outcome::Expired | Outcome::Skipped { .. } => Self::Expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_the_word_of_its_outcome_and_a_secret_is_never_shown() {
        for outcome in [Outcome::Success, Outcome::Oom { exit_code: 137 }, Outcome::Timeout, Outcome::Expired] {
            assert_eq!(serde_json::to_value(JobState::from(&outcome)).unwrap(), outcome.word());
            assert_eq!(JobState::from(&outcome).as_str(), outcome.word());
        }
        let text =
            format!(r#"{{"name":"db","claim":"{}","state":"running","ended":false,"secret":"5ec"}}"#, "a".repeat(64));
        let job: Job = serde_json::from_str(&text).unwrap();
        assert!(!format!("{job:?}").contains("5ec"));
        assert_eq!(serde_json::to_value(&job).unwrap()["secret"], "5ec");
    }
}
