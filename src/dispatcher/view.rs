//! What people and programs are shown of a build.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::App;
use crate::domain::id::{BuildId, ClaimId, JobName};
use crate::domain::job::{Job, JobState};
use crate::domain::outcome::Verdict;
use crate::domain::placed::Placed;
use crate::domain::record::{ApprovedBy, Done, Phase, Record, Stop, StopWhy};
use crate::domain::report::{Report, TestCounts};
use crate::domain::runners::{JobAt, Runner};
use crate::domain::status;
use crate::domain::timeline::{self, Step};

/// One build in an answer. Absent fields are not known.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct BuildView {
    pub(crate) build: Option<BuildId>,
    pub(crate) claim: Option<ClaimId>,
    /// held, claimed, queued, unplaceable, preparing, running, waiting; or the outcome's word.
    pub(crate) state: &'static str,
    /// The sentence for people.
    pub(crate) reason: String,
    /// Whether it is over.
    pub(crate) ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exit_code: Option<i64>,
    pub(crate) repo: Option<String>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub(crate) git_ref: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) commit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flavor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) event: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sender: Option<String>,
    /// The claim of the change that it builds again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_of: Option<ClaimId>,
    /// What it was given with `trigger`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) params: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trusted: Option<bool>,
    pub(crate) private: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) pull_request: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created: Option<Timestamp>,
    /// Of a change that was held: when somebody approved it, and how.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approved: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) approved_by: Option<ApprovedBy>,
    /// Why it is being stopped, and by whom; where it is not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stopping: Option<String>,
    /// Where it runs or ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) placed: Option<Placed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) finished: Option<Timestamp>,
    /// What it did when.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) timeline: Vec<Step>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) log: Option<String>,
    /// Of a job: the claim of the build that started it, and its name there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<ClaimId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) job: Option<JobName>,
    /// Of a runner of a forge's workflows: for which job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runner: Option<RunnerView>,
    /// The jobs that it has started; where one build is shown.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) jobs: Vec<JobView>,
    /// The script's tests, counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tests: Option<TestCounts>,
    /// Why it is none, though its script ended well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trouble: Option<String>,
    /// All that the script has reported; where one build is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) report: Option<Report>,
}

/// A runner of a forge's workflows.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct RunnerView {
    /// How its forge lists it.
    pub(crate) name: String,
    /// The labels of its pool.
    pub(crate) labels: Vec<String>,
    /// The job that it was started for; it may take another one.
    pub(crate) job: JobAt,
    /// Which try this is for that job.
    pub(crate) attempt: u32,
    /// Whether it has, or had, a job.
    pub(crate) taken: bool,
    /// The number of that job, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) taken_job: Option<u64>,
}

impl From<&Runner> for RunnerView {
    fn from(runner: &Runner) -> Self {
        Self {
            name: runner.name.clone(),
            labels: runner.labels.clone(),
            job: runner.job.clone(),
            attempt: runner.attempt,
            taken: !runner.is_idle(),
            taken_job: runner.taken_job,
        }
    }
}

/// One job of a build that is shown.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct JobView {
    pub(crate) name: JobName,
    /// Those of the build's jobs that it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) needs: Vec<JobName>,
    pub(crate) state: JobState,
    pub(crate) reason: String,
    pub(crate) ended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    exit_code: Option<i64>,
    pub(crate) build: Option<BuildId>,
    pub(crate) claim: ClaimId,
    /// Its page.
    page: String,
}

impl JobView {
    pub(super) fn of(app: &App, job: Job) -> Self {
        let page = app.link(&format!("/builds/claim/{}", job.claim));
        let Job { name, needs, state, reason, ended, exit_code, build, claim, .. } = job;
        Self { name, needs, state, reason, ended, exit_code, build, claim, page }
    }

    pub(super) fn line(&self) -> String {
        let reason = if self.reason.is_empty() { String::new() } else { format!(" ({})", self.reason) };
        format!("job {}: {}{reason} {}", self.name, self.state.as_str(), self.page)
    }
}

impl BuildView {
    pub(super) fn of_record(app: &App, claim: &ClaimId, record: &Record, verdict: &Verdict) -> Self {
        let mut view = Self {
            build: record.build.clone(),
            claim: Some(claim.clone()),
            repo: Some(record.repo.clone()),
            git_ref: Some(record.git_ref.clone()),
            commit: Some(record.commit.to_string()),
            flavor: Some(record.flavor.to_string()),
            event: Some(record.event.as_str()),
            sender: Some(record.sender.login.clone()),
            retry_of: record.retry_of.clone(),
            params: record.params.clone(),
            trusted: Some(record.trusted),
            private: record.private,
            pull_request: record.pull.as_ref().map(|pull| pull.number),
            created: Some(record.created),
            approved: record.approved,
            approved_by: record.approved_by,
            stopping: record.stop.as_ref().map(stopping),
            placed: record.placed.clone(),
            started: record.started,
            finished: record.finished,
            timeline: timeline::of_record(record),
            log: record.build.as_ref().map(|build| log_link(app, build)),
            parent: record.parent.as_ref().map(|parent| parent.claim.clone()),
            job: record.parent.as_ref().map(|parent| parent.name.clone()),
            runner: record.runner.as_deref().map(RunnerView::from),
            tests: record.tests,
            trouble: record.trouble.clone(),
            ..Self::unknown()
        };
        view.set_verdict(verdict);
        view.say_how(verdict);
        if matches!(verdict, Verdict::Open { .. }) {
            match record.phase {
                Phase::Held => (view.state, view.reason) = ("held", "waiting for approval".to_owned()),
                Phase::Waiting if view.reason.is_empty() => "waiting for its turn".clone_into(&mut view.reason),
                Phase::Waiting => {}
                Phase::Claimed => (view.state, view.reason) = ("claimed", "waiting for Nomad".to_owned()),
                Phase::Dispatched | Phase::Ended { .. } => {}
            }
        }
        view
    }

    pub(super) fn of_done(app: &App, claim: &ClaimId, done: &Done) -> Self {
        let mut view = Self {
            build: done.build.clone(),
            claim: Some(claim.clone()),
            repo: Some(done.repo.clone()),
            git_ref: Some(done.git_ref.clone()),
            commit: Some(done.commit.to_string()),
            flavor: Some(done.flavor.to_string()),
            event: Some(done.event.as_str()),
            sender: done.sender.as_ref().map(|sender| sender.login.clone()),
            retry_of: done.retry_of.clone(),
            params: done.params.clone(),
            trusted: Some(done.trusted),
            private: done.private,
            pull_request: done.pull_request,
            created: Some(done.created),
            approved: done.approved,
            placed: done.placed.clone(),
            started: done.started,
            finished: Some(done.finished),
            timeline: timeline::of_done(done),
            log: done.build.as_ref().map(|build| log_link(app, build)),
            parent: done.parent.as_ref().map(|parent| parent.claim.clone()),
            job: done.parent.as_ref().map(|parent| parent.name.clone()),
            runner: done.runner.as_deref().map(RunnerView::from),
            tests: done.tests,
            trouble: done.trouble.clone(),
            ..Self::unknown()
        };
        let verdict = Verdict::Ended(done.outcome.clone());
        view.set_verdict(&verdict);
        view.say_how(&verdict);
        view
    }

    pub(super) fn unknown() -> Self {
        Self {
            build: None,
            claim: None,
            state: "waiting",
            reason: String::new(),
            ended: false,
            exit_code: None,
            repo: None,
            git_ref: None,
            commit: None,
            flavor: None,
            event: None,
            sender: None,
            retry_of: None,
            params: BTreeMap::new(),
            trusted: None,
            private: true,
            pull_request: None,
            created: None,
            approved: None,
            approved_by: None,
            stopping: None,
            placed: None,
            started: None,
            finished: None,
            timeline: Vec::new(),
            log: None,
            parent: None,
            job: None,
            runner: None,
            jobs: Vec::new(),
            tests: None,
            trouble: None,
            report: None,
        }
    }

    pub(super) fn set_verdict(&mut self, verdict: &Verdict) {
        (self.state, self.reason) = match verdict {
            Verdict::Ended(outcome) => (outcome.word(), status::sentence(outcome, None)),
            Verdict::Queued { reason } => ("queued", reason.clone()),
            Verdict::Unplaceable { reason } => ("unplaceable", reason.clone()),
            Verdict::Preparing => ("preparing", "preparing".to_owned()),
            Verdict::Running => ("running", "running".to_owned()),
            Verdict::Open { reason, .. } => ("waiting", reason.clone()),
        };
        self.ended = matches!(verdict, Verdict::Ended(_));
        self.stopping = self.stopping.take().filter(|_| !self.ended);
        self.exit_code = match verdict {
            Verdict::Ended(outcome) => outcome.exit_code(),
            _ => None,
        };
    }

    /// The outcome's sentence with the time it took, where both ends are known, and its tests.
    fn say_how(&mut self, verdict: &Verdict) {
        let Verdict::Ended(outcome) = verdict else { return };
        let took = self.finished.zip(self.started).map(|(finished, started)| finished.duration_since(started));
        let told = status::with_trouble(status::sentence(outcome, took), outcome, self.trouble.as_deref());
        self.reason = status::with_tests(told, outcome, self.tests);
    }

    /// What a list shows of an open record, without asking the engine.
    pub(super) fn glance(record: &Record) -> Verdict {
        match &record.phase {
            Phase::Ended { outcome } => Verdict::Ended(outcome.clone()),
            Phase::Dispatched if record.started.is_some() => Verdict::Running,
            Phase::Dispatched if record.runner.is_some() => {
                record.seen.clone().unwrap_or_else(|| status::last_told(record))
            }
            Phase::Dispatched => status::last_told(record),
            Phase::Held | Phase::Waiting | Phase::Claimed => Verdict::Open { reason: String::new(), unknown: false },
        }
    }
}

fn stopping(stop: &Stop) -> String {
    match stop.why {
        StopWhy::Cancel if !stop.by.is_empty() => format!("cancelled by {}", stop.by),
        StopWhy::Cancel | StopWhy::Timeout | StopWhy::Queue | StopWhy::Lost | StopWhy::Superseded | StopWhy::Parent => {
            status::why_stopped(stop).to_owned()
        }
    }
}

fn log_link(app: &App, build: &BuildId) -> String {
    app.link(&format!("/build?job={}&log=stdout", super::claim::url_encoded(build.as_str())))
}
