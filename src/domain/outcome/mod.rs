//! How a build ended, and how far it is: one pure function over what Nomad says.
//!
//! Never decided on a client status or a job status alone: a cancelled build reads `complete`, a job is `dead` while
//! its script still runs. What counts are the events of the executor's last run, and why it was stopped.

mod executor;
mod machine;
mod placement;
mod reason;
#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use self::machine::Machine;

use self::executor::{LastRun, Termination};
use super::nomad::{Allocation, Evaluation, Job, Snapshot, TaskState};
use super::record::{Stop, StopWhy};

/// The task group of a builder that is judged.
pub const GROUP: &str = "runner";

/// The task of [`GROUP`] that runs the script.
pub const EXECUTOR: &str = "executor";

/// How a build ended. Of those that ran only [`Outcome::Success`] is green.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Outcome {
    /// The script exited 0.
    Success,
    /// The script failed by itself.
    Failure {
        /// Its exit code, as Nomad gives it.
        exit_code: i64,
        /// The signal that ended it, 0 for none.
        #[serde(default)]
        signal: i64,
    },
    /// Out of memory, whatever the exit code.
    Oom {
        /// The exit code.
        exit_code: i64,
    },
    /// Longer than its limit.
    Timeout,
    /// Stopped by a person, or by what the `stop` of its record says.
    Cancelled {
        /// For people: by whom or what.
        by: String,
    },
    /// Not the script's doing.
    Infra {
        /// For people.
        reason: String,
    },
    /// The node or the process was lost.
    Lost {
        /// For people.
        reason: String,
    },
    /// Nomad no longer knows it.
    Expired,
    /// Not built, as its author or the configuration wants; green at the forge, so that no required check hangs.
    Skipped {
        /// For people: why.
        reason: String,
    },
}

impl Outcome {
    /// The outcome in one word, as logs, badges and lists say it.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure { .. } => "failure",
            Self::Oom { .. } => "oom",
            Self::Timeout => "timeout",
            Self::Cancelled { .. } => "cancelled",
            Self::Infra { .. } => "infra",
            Self::Lost { .. } => "lost",
            Self::Expired => "expired",
            Self::Skipped { .. } => "skipped",
        }
    }

    /// What the script ended with, where it ended by itself.
    #[must_use]
    pub fn exit_code(&self) -> Option<i64> {
        match self {
            Self::Success => Some(0),
            Self::Failure { exit_code, .. } | Self::Oom { exit_code } => Some(*exit_code),
            Self::Timeout
            | Self::Cancelled { .. }
            | Self::Infra { .. }
            | Self::Lost { .. }
            | Self::Expired
            | Self::Skipped { .. } => None,
        }
    }

    /// What a command that waited for the build exits with: 0 success, 1 the build failed, 3 not the build's doing,
    /// 4 cancelled, 5 timed out.
    #[must_use]
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Success | Self::Skipped { .. } => 0,
            Self::Failure { .. } | Self::Oom { .. } => 1,
            Self::Infra { .. } | Self::Lost { .. } | Self::Expired => 3,
            Self::Cancelled { .. } => 4,
            Self::Timeout => 5,
        }
    }

    /// What a stop comes to once the build is over: the reason in the record, or somebody acting on Nomad directly.
    #[must_use]
    pub fn of_stop(stop: Option<&Stop>) -> Self {
        let Some(stop) = stop else {
            return Self::Cancelled { by: "a user of Nomad".to_owned() };
        };
        let by = |fallback: &str| if stop.by.is_empty() { fallback.to_owned() } else { stop.by.clone() };
        match stop.why {
            StopWhy::Cancel => Self::Cancelled { by: by("a user") },
            StopWhy::Superseded => Self::Cancelled { by: by("a newer push") },
            StopWhy::Parent => Self::Cancelled { by: by("the end of the build that started it") },
            StopWhy::Timeout => Self::Timeout,
            StopWhy::Queue => Self::Infra { reason: "waited for a node longer than the queue limit".to_owned() },
            StopWhy::Lost => Self::Lost { reason: "its node was out of reach for too long".to_owned() },
        }
    }
}

/// What is known of a build now. In JSON `state`, and beside it `is` with the outcome once it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Verdict {
    /// Over.
    Ended(Outcome),
    /// Waits for room.
    Queued {
        /// For people; may be empty.
        reason: String,
    },
    /// No node can ever take it as things stand.
    Unplaceable {
        /// For people.
        reason: String,
    },
    /// Placed, the executor has not started.
    Preparing,
    /// The executor runs.
    Running,
    /// Not over, and no more can be said (another attempt comes, the node is unknown, an evaluation is pending).
    Open {
        /// For people.
        reason: String,
        /// The node has been out of reach; `serve` ends it after its limit.
        unknown: bool,
    },
}

impl Verdict {
    fn open(reason: &str) -> Self {
        Self::Open { reason: reason.to_owned(), unknown: false }
    }

    fn infra(reason: impl Into<String>) -> Self {
        Self::Ended(Outcome::Infra { reason: reason.into() })
    }
}

/// What a build has come to, by the first rule that says anything; an unknown combination is never green.
///
/// `stop` is the record's: why Albatros had the build stopped, if it had.
#[must_use]
pub fn judge(snapshot: &Snapshot, stop: Option<&Stop>) -> Verdict {
    if snapshot.job.is_none() && snapshot.allocations.is_empty() {
        return Verdict::Ended(Outcome::Expired);
    }
    let Some(allocation) = newest(&snapshot.allocations) else {
        return placement::without_allocation(snapshot, stop);
    };
    let case = Case::new(snapshot, allocation, stop);
    case.without_executor()
        .or_else(|| case.ended_by_itself())
        .or_else(|| case.in_progress())
        .or_else(|| case.over_its_limit())
        .or_else(|| case.stopped())
        .or_else(|| case.to_be_continued())
        .or_else(|| placement::queued_again(case.evaluations))
        .or_else(|| case.undecided())
        .or_else(|| case.lost())
        .unwrap_or_else(|| Verdict::infra(reason::of_allocation(case.allocation)))
}

fn newest(allocations: &[Allocation]) -> Option<&Allocation> {
    allocations.iter().filter(|one| one.task_group == GROUP).max_by_key(|one| (one.create_index, one.modify_index))
}

/// One allocation of the runner group, and what stands around it.
struct Case<'a> {
    job: Option<&'a Job>,
    allocation: &'a Allocation,
    executor: Option<&'a TaskState>,
    evaluations: &'a [Evaluation],
    stop: Option<&'a Stop>,
}

impl<'a> Case<'a> {
    fn new(snapshot: &'a Snapshot, allocation: &'a Allocation, stop: Option<&'a Stop>) -> Self {
        let executor = allocation.task_states.as_ref().and_then(|states| states.get(EXECUTOR));
        Self { job: snapshot.job.as_ref(), allocation, executor, evaluations: &snapshot.evaluations, stop }
    }

    /// Rule 3. Where the job's own list of tasks is not known, what the client reported must do.
    fn without_executor(&self) -> Option<Verdict> {
        let group = self.job.and_then(|job| job.task_groups.iter().find(|group| group.name == GROUP));
        let missing = match group {
            Some(group) if !group.tasks.is_empty() => !group.tasks.iter().any(|task| task.name == EXECUTOR),
            Some(_) | None => self.has_reported() && self.executor.is_none(),
        };
        missing.then(|| Verdict::infra(format!("the builder's group {GROUP} has no task {EXECUTOR}")))
    }

    /// Rule 4. A stop that came after the script had ended changes nothing, so this comes before all that asks for one.
    fn ended_by_itself(&self) -> Option<Verdict> {
        let run = self.executor.filter(|state| state.state == "dead").map(LastRun::of)?;
        let Termination { exit_code, signal, oom } = run.ended_by_itself()?;
        if exit_code == Some(0) && signal == 0 {
            return Some(Verdict::Ended(Outcome::Success));
        }
        if !self.is_stopped() && (self.has_successor() || placement::is_pending(self.evaluations)) {
            return Some(Verdict::open("another attempt is coming"));
        }
        Some(Verdict::Ended(match exit_code {
            None => Outcome::Infra { reason: "Nomad did not tell how the script ended".to_owned() },
            Some(-1) => Outcome::Infra { reason: run.lost_process() },
            Some(exit_code) if oom => Outcome::Oom { exit_code },
            Some(exit_code) => Outcome::Failure { exit_code, signal },
        }))
    }

    /// Rule 5. Nomad says `complete` or `failed` as soon as it means to end a build, which may take its kill time-out.
    fn in_progress(&self) -> Option<Verdict> {
        if self.executor.is_some_and(|state| state.state == "dead") {
            return None;
        }
        let goes_on = match self.allocation.client_status.as_str() {
            "pending" | "running" => {
                self.has_reported() || matches!(self.allocation.desired_status.as_str(), "run" | "")
            }
            "complete" | "failed" => self.has_reported(),
            _ => false,
        };
        let started = self.executor.is_some_and(|state| state.state == "running" || executor::has_started(state));
        goes_on.then_some(if started { Verdict::Running } else { Verdict::Preparing })
    }

    /// Rule 6.
    fn over_its_limit(&self) -> Option<Verdict> {
        let over = self.allocation.client_description.contains("allocation exceeded max_run_duration");
        over.then_some(Verdict::Ended(Outcome::Timeout))
    }

    /// Rule 7.
    fn stopped(&self) -> Option<Verdict> {
        self.is_stopped().then(|| Verdict::Ended(Outcome::of_stop(self.stop)))
    }

    /// Rule 8.
    fn to_be_continued(&self) -> Option<Verdict> {
        if self.allocation.client_status == "unknown" {
            let node = self.allocation.node_name.as_str();
            let node = if node.is_empty() { "the node" } else { node };
            return Some(Verdict::Open { reason: format!("{node} is out of reach"), unknown: true });
        }
        self.has_successor().then(|| Verdict::open("another attempt is coming"))
    }

    /// Rule 10.
    fn undecided(&self) -> Option<Verdict> {
        placement::is_pending(self.evaluations).then(|| Verdict::open("Nomad is deciding what to do next"))
    }

    /// Rule 11.
    fn lost(&self) -> Option<Verdict> {
        let why = &self.allocation.desired_description;
        let reason = if self.allocation.desired_status == "evict" {
            "a build of higher priority took its place"
        } else if why.contains("alloc is being migrated") {
            "its node was drained"
        } else if self.allocation.client_status == "lost" || why.contains("alloc is lost") {
            "its node was lost"
        } else {
            return None;
        };
        Some(Verdict::Ended(Outcome::Lost { reason: reason.to_owned() }))
    }

    /// Seen: the job is read first, so a stop in between shows in the allocation alone. Nobody updates a child, so what
    /// Nomad calls an update is that stop.
    fn is_stopped(&self) -> bool {
        let of_allocation = self.allocation.desired_status == "stop"
            && self.allocation.desired_description == "alloc not needed due to job update";
        of_allocation || self.job.is_some_and(|job| job.stop)
    }

    /// The client has said something about the tasks.
    fn has_reported(&self) -> bool {
        self.allocation.task_states.as_ref().is_some_and(|states| !states.is_empty())
    }

    /// A replacement exists or is planned. A follow-up that was called off will never come.
    fn has_successor(&self) -> bool {
        let follow_up = &self.allocation.followup_eval_id;
        let called_off = self.evaluations.iter().any(|one| one.id == *follow_up && one.status == "canceled");
        !self.allocation.next_allocation.is_empty() || !(follow_up.is_empty() || called_off)
    }
}
