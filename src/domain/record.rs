//! The record of a claim: the whole state of Albatros, kept in the registry as JSON.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{EventKind, Pull, Sender};
use super::id::{BuildId, BuilderName, ClaimId, CommitSha, Flavor, JobName};
use super::job::{JobSpec, Parent};
use super::outcome::{Machine, Outcome, Verdict};
use super::placed::Placed;
use super::report::TestCounts;
use super::runners::Runner;
use super::status::Posted;

/// The version that this program writes; another one is left alone.
pub const VERSION: u32 = 1;

/// `<prefix>-builds/open/<claim>`: one change being built. Fields that are not known are kept in `other`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// What the writer of the claim made up, so that an unknown answer can be settled by reading again.
    pub nonce: String,
    /// REPO_URL: the spelling whose configuration key matched.
    pub repo: String,
    /// The canonical address, as in the claim.
    pub canonical: String,
    /// `refs/heads/…`, `refs/tags/…`, `refs/pull/N/head`.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// What `BRANCH` says.
    pub branch: String,
    /// What the ref held before; empty for a pull request.
    pub before: String,
    /// The commit.
    pub commit: CommitSha,
    /// The flavor.
    pub flavor: Flavor,
    /// What kind of change.
    pub event: EventKind,
    /// Who acted.
    pub sender: Sender,
    /// The repository's number at the forge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository_id: Option<u64>,
    /// Whether the build may see the repository's secrets.
    pub trusted: bool,
    /// Only readers with a credential may see it.
    pub private: bool,
    /// The pull request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,
    /// The builder that is dispatched.
    pub builder: BuilderName,
    /// The namespace of the dispatch.
    pub namespace: String,
    /// Every meta key that may be sent; which of the optional ones are sent is up to the builder.
    pub meta: BTreeMap<String, String>,
    /// HMAC-SHA256 (hex) under the hook's key of the payload that was dispatched, if any; never the payload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_hmac: Option<String>,
    /// What is to be settled before it is built or approved; none where all is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<Undecided>,
    /// What a person gave with `trigger`, by name. Not for secrets: it stands here in the clear.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// The change that this one builds again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<ClaimId>,
    /// When it was claimed.
    pub created: Timestamp,
    /// When it was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Timestamp>,
    /// Who says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<ApprovedBy>,
    /// When its turn came: it may have waited for longer than a dispatch may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_through: Option<Timestamp>,
    /// How far it is.
    pub phase: Phase,
    /// The child, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildId>,
    /// SHA-256 (hex) of the secret that the build's controller made up, once it has been given what it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// Whose job it is: none for a change of its own. A job has no status at the forge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// What a job is to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Box<JobSpec>>,
    /// Of a runner for a forge's workflows. It has no status at the forge, and is no build of a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<Box<Runner>>,
    /// The jobs that it has started, with their claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<JobName, ClaimId>,
    /// Bytes of their specs, which stand in records of their own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jobs_bytes: usize,
    /// Of a job: how far it was when it was last looked at. A change tells its forge instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Verdict>,
    /// `address:port` of a service's controller, once it has told it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Why a build whose script ended well is none, in the sidecar's words: an artifact that could not be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Of a build in a machine of its own: what its host has told of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
    /// The tests that the build has reported, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
    /// Where it runs, once it has a node; the newest of its attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
    /// When the executor was first seen running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it was over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Timestamp>,
    /// Why it is being stopped; written before the engine is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<Stop>,
    /// The status that is about to be posted, written before the post; and the last that arrived.
    #[serde(default)]
    pub statuses: Posted,
    /// What other versions wrote.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// What the forge has to be asked before it is known whether a change is to be built at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecided {
    /// The head commit's message, which its delivery does not have.
    #[serde(default)]
    pub message: bool,
    /// The files that the change touches.
    #[serde(default)]
    pub files: bool,
}

/// How a change came to be built that is held unless somebody approves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovedBy {
    /// A person looked at this very commit, or could have.
    Person,
    /// Its sender is approved always.
    Always,
}

/// How far a claim is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Phase {
    /// Waits for `approve`.
    Held,
    /// Waits for its turn, or for what is undecided; the follower alone lets it go on to [`Phase::Claimed`].
    Waiting,
    /// To be dispatched.
    Claimed,
    /// There is a child.
    Dispatched,
    /// Over; only the report may be missing.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

/// Why a build is being stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The reason.
    pub why: StopWhy,
    /// For people: who asked (`act token`, `a newer push`, `albatros`).
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// The reasons for which Albatros stops a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopWhy {
    /// A person asked.
    Cancel,
    /// The configuration's `timeout`.
    Timeout,
    /// Longer in the queue than its limit.
    Queue,
    /// Its node was unknown for longer than its limit.
    Lost,
    /// A newer change took its place.
    Superseded,
    /// The build that started it has ended.
    Parent,
}

/// `<prefix>-builds/done/<claim>`: an ended and reported change, kept 7 days.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// [`VERSION`].
    pub version: u32,
    /// The child, if there ever was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildId>,
    /// How it ended.
    pub outcome: Outcome,
    /// When it was claimed.
    pub created: Timestamp,
    /// When it was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved: Option<Timestamp>,
    /// When its turn came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub let_through: Option<Timestamp>,
    /// Where it ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
    /// When its executor started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Timestamp>,
    /// When it ended.
    pub finished: Timestamp,
    /// REPO_URL.
    pub repo: String,
    /// The ref.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// What the ref held before.
    pub before: String,
    /// The commit.
    pub commit: CommitSha,
    /// The flavor.
    pub flavor: Flavor,
    /// The kind of change.
    pub event: EventKind,
    /// The pull request's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// Who acted; none in what older versions wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<Sender>,
    /// What a person gave with `trigger`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// The change that it built again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<ClaimId>,
    /// Only readers with a credential may see it.
    pub private: bool,
    /// Whether it might see the repository's secrets.
    #[serde(default)]
    pub trusted: bool,
    /// Whether the store has it too.
    #[serde(default)]
    pub kept: bool,
    /// The tests that the build has reported, counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
    /// Why a build whose script ended well is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Whose job it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Parent>,
    /// Of a runner for a forge's workflows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runner: Option<Box<Runner>>,
    /// Of a job: SHA-256 (hex) of what it was to do, so that another one of its name is told from the same again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_hash: Option<String>,
    /// Of a job: those that it needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<JobName>,
    /// The jobs that it has started, with their claims.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<JobName, ClaimId>,
    /// As in the record: the last pieces of a log come after the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What other versions wrote.
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl Done {
    /// What is left of a record that has ended as `outcome`.
    #[must_use]
    pub fn of(record: &Record, outcome: &Outcome) -> Self {
        Self {
            version: VERSION,
            build: record.build.clone(),
            outcome: outcome.clone(),
            created: record.created,
            approved: record.approved,
            let_through: record.let_through,
            placed: record.placed.clone(),
            started: record.started,
            finished: record.finished.unwrap_or(record.created),
            repo: record.repo.clone(),
            git_ref: record.git_ref.clone(),
            before: record.before.clone(),
            commit: record.commit.clone(),
            flavor: record.flavor.clone(),
            event: record.event,
            pull_request: record.pull.as_ref().map(|pull| pull.number),
            sender: Some(record.sender.clone()),
            params: record.params.clone(),
            retry_of: record.retry_of.clone(),
            private: record.private,
            trusted: record.trusted,
            kept: false,
            tests: record.tests,
            trouble: record.trouble.clone(),
            parent: record.parent.clone(),
            runner: record.runner.clone(),
            job_hash: record.job.as_deref().map(JobSpec::hash),
            needs: record.job.as_deref().map(|job| job.needs.clone()).unwrap_or_default(),
            jobs: record.jobs.clone(),
            session: record.session.clone(),
            other: serde_json::Map::new(),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(value: &usize) -> bool {
    *value == 0
}
