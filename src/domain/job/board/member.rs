//! One job on the board: what is known of it, and what that means for the others.

use super::super::view::JobView;
use super::super::{Job, JobSpec, JobState};

/// What serve says of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its build, once it has one.
    pub build: Option<String>,
    /// `held`, `queued`, … `success`, ….
    pub state: String,
    /// Why.
    pub reason: String,
    /// It is over.
    pub ended: bool,
    /// Of its script.
    pub exit_code: Option<i64>,
    /// It is a service, and takes connections.
    pub ready: bool,
}

impl From<&Job> for Seen {
    fn from(job: &Job) -> Self {
        let reason = match job.state {
            JobState::Held => format!("a person types `albatros approve {}`", job.claim),
            JobState::Claimed
            | JobState::Queued
            | JobState::Unplaceable
            | JobState::Preparing
            | JobState::Running
            | JobState::Waiting
            | JobState::Success
            | JobState::Failure
            | JobState::Oom
            | JobState::Timeout
            | JobState::Cancelled
            | JobState::Infra
            | JobState::Lost
            | JobState::Expired => job.reason.clone(),
        };
        Self {
            build: job.build.as_ref().map(ToString::to_string),
            state: word(job.state).to_owned(),
            reason,
            ended: job.ended,
            exit_code: job.exit_code,
            ready: job.ready,
        }
    }
}

/// As it is shown: `waiting` is for what a job needs.
fn word(state: JobState) -> &'static str {
    match state {
        JobState::Held => "held",
        JobState::Claimed => "claimed",
        JobState::Queued => "queued",
        JobState::Unplaceable => "unplaceable",
        JobState::Preparing => "preparing",
        JobState::Running => "running",
        JobState::Waiting => "unknown",
        JobState::Success => "success",
        JobState::Failure => "failure",
        JobState::Oom => "oom",
        JobState::Timeout => "timeout",
        JobState::Cancelled => "cancelled",
        JobState::Infra => "infra",
        JobState::Lost => "lost",
        JobState::Expired => "expired",
    }
}

/// How far one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// For what it needs.
    Waiting,
    /// To be started; serve has not said that it is.
    Starting,
    /// serve has it.
    Open,
    /// Over.
    Ended,
    /// It was never started, and will not be.
    Skipped { reason: String, needless: bool },
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) spec: JobSpec,
    pub(super) at: At,
    pub(super) seen: Seen,
    /// Why it is to be stopped.
    pub(super) stop: Option<String>,
    /// serve was told so.
    pub(super) told: bool,
    pub(super) was_ready: bool,
}

/// What a job that is needed means for who needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Pending,
    Good,
    Bad,
    /// Not called for.
    Needless,
}

impl Member {
    pub(super) fn halt(&mut self, reason: &str) {
        match self.at {
            At::Waiting => self.at = At::Skipped { reason: reason.to_owned(), needless: false },
            At::Starting | At::Open => {
                self.stop.get_or_insert_with(|| reason.to_owned());
            }
            At::Ended | At::Skipped { .. } => {}
        }
    }

    /// Never true of what failed, was cancelled, was lost, or never ran.
    pub(super) fn success(&self) -> bool {
        let well = self.seen.state == "success" && self.seen.exit_code.unwrap_or(0) == 0;
        let stopped = self.stop.is_some() && self.was_ready && (well || self.seen.state == "cancelled");
        self.at == At::Ended && if self.spec.service { stopped } else { well }
    }

    pub(super) fn need(&self) -> Need {
        match &self.at {
            At::Waiting | At::Starting => Need::Pending,
            At::Open if self.spec.service && self.seen.ready && self.stop.is_none() => Need::Good,
            At::Open => Need::Pending,
            // A service that is gone serves nobody, however it ended.
            At::Ended if self.success() && !self.spec.service => Need::Good,
            At::Ended => Need::Bad,
            At::Skipped { needless, .. } => {
                if *needless {
                    Need::Needless
                } else {
                    Need::Bad
                }
            }
        }
    }

    /// It failed by itself, and was to end all others then.
    pub(super) fn ends_the_rest(&self) -> bool {
        self.spec.stop_rest && self.at == At::Ended && self.stop.is_none() && !self.success()
    }

    pub(super) fn view(&self) -> JobView {
        let seen = &self.seen;
        let (state, reason) = match &self.at {
            At::Waiting => ("waiting", String::new()),
            At::Starting => ("starting", seen.reason.clone()),
            At::Skipped { reason, .. } => ("skipped", reason.clone()),
            At::Ended if self.spec.service && self.stop.is_none() => {
                // Even one whose process says that all is well.
                let state = if seen.state == "success" { "failure" } else { seen.state.as_str() };
                let told = if seen.reason.is_empty() { String::new() } else { format!(": {}", seen.reason) };
                (state, format!("the service ended by itself{told}"))
            }
            At::Open | At::Ended => (seen.state.as_str(), seen.reason.clone()),
        };
        JobView {
            name: self.spec.name.clone(),
            state: state.to_owned(),
            reason,
            ended: matches!(self.at, At::Ended | At::Skipped { .. }),
            success: self.success(),
            needless: matches!(self.at, At::Skipped { needless: true, .. }),
            service: self.spec.service,
            ready: self.at == At::Open && seen.ready,
            port: self.spec.port,
            build: seen.build.clone(),
            exit_code: seen.exit_code,
        }
    }
}
