//! A job as its build sees it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::id::JobName;

/// One job on a build's board: `GET /v1/jobs/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JobView {
    /// Its name.
    pub name: JobName,
    /// `waiting` for what it needs, `starting`, then as a build: `held`, `claimed`, `queued`, `unplaceable`, `preparing`,
    /// `running`; at the end `skipped`, or the outcome: `success`, `failure`, `cancelled`, ….
    pub state: String,
    /// For people: why it is in this state. Empty where the state says all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Nothing more will happen to it.
    pub ended: bool,
    /// It has ended, and well: exit code 0, or a service that was ready and then stopped by its build.
    pub success: bool,
    /// Skipped, because what it is for has not come about: it is no failure that it never ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needless: bool,
    /// It serves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub service: bool,
    /// The service takes connections.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ready: bool,
    /// The port that the service listens on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Its build, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Of its script, once that has ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
}

/// All jobs of a build: `GET /v1/jobs`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Shown {
    /// Grows with each change; `?since=` waits for a larger one.
    pub version: u64,
    /// In the order in which they were given.
    pub jobs: Vec<JobView>,
}

impl JobView {
    /// Whether there is nothing left to wait for: it has ended, or it is a service that takes connections.
    #[must_use]
    pub fn settled(&self) -> bool {
        self.ended || (self.service && self.ready)
    }

    /// What a command that has waited for it exits with: 0 for success alone, the script's exit code, else 1.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match (self.success, self.exit_code) {
            (true, _) => 0,
            (false, Some(code)) => u8::try_from(code).ok().filter(|code| *code != 0).unwrap_or(1),
            (false, None) => 1,
        }
    }

    /// In a few words, for people: `failure (exit 3)`.
    #[must_use]
    pub fn words(&self) -> String {
        let state = if self.ready && !self.ended { "ready" } else { self.state.as_str() };
        let code = self.exit_code.filter(|code| *code != 0).map(|code| format!("exit {code}"));
        // A reason tells the code as well.
        let why = Some(self.reason.clone()).filter(|reason| !reason.is_empty()).or(code);
        why.map_or_else(|| state.to_owned(), |why| format!("{state} ({why})"))
    }
}

/// Whether jobs that have all ended came to what they should: none failed, and each that was called for has run. None as
/// long as one has not ended.
#[must_use]
pub fn green<'a>(jobs: impl IntoIterator<Item = &'a JobView>) -> Option<bool> {
    jobs.into_iter().try_fold(true, |green, job| job.ended.then_some(green && (job.success || job.needless)))
}
