//! What a delivery asks for, in one form for every forge.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id::CommitSha;
use super::runners::SeenJob;

/// What kind of change; the words of claims, of `EVENT` and of `explain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A branch was pushed.
    Push,
    /// A tag was pushed.
    Tag,
    /// A pull request was opened, reopened or pushed to.
    PullRequest,
    /// A job of the forge's own workflows wants a runner.
    WorkflowJob,
}

impl EventKind {
    /// `push`, `tag`, `pull_request` or `workflow_job`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Tag => "tag",
            Self::PullRequest => "pull_request",
            Self::WorkflowJob => "workflow_job",
        }
    }
}

/// The account that acted; never a commit's author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sender {
    /// The login as sent.
    pub login: String,
    /// The account's number at the forge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

impl Sender {
    /// Who starts what `trigger`, `retry` and schedules ask for; no forge has such an account.
    pub const TRIGGER: &'static str = "@trigger";

    /// Whether a person or a schedule asked for it, with a credential of the repository; else a forge told of it.
    #[must_use]
    pub fn is_trigger(&self) -> bool {
        self.login == Self::TRIGGER
    }
}

/// Where a pull request's commits come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullOrigin {
    /// Another repository.
    Fork,
    /// Gitea's `refs/for/…`: pushed by anybody who may read.
    Agit,
    /// The head repository no longer exists.
    Gone,
    /// A branch of the repository itself: only where somebody asked for the pull request, as its push is built already.
    Branch,
}

/// A pull request that may be built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Its number in the base repository.
    pub number: u64,
    /// Where it comes from; none of these is ever trusted.
    pub origin: PullOrigin,
    /// The login of who opened it.
    #[serde(default)]
    pub author: String,
    /// That account's number at the forge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author_id: Option<u64>,
}

/// One change to build: what every later step needs to know of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Push, tag or pull request.
    pub kind: EventKind,
    /// `refs/heads/…`, `refs/tags/…` or `refs/pull/N/head`.
    pub git_ref: String,
    /// What `BRANCH` says: [`Change::git_ref`] without `refs/heads/`, `refs/tags/` or `refs/` (a pull request: `pull/N/head`).
    pub branch: String,
    /// What the ref held before, as sent; empty for a pull request.
    pub before: String,
    /// The commit to build, never a tag object.
    pub commit: CommitSha,
    /// Who acted.
    pub sender: Sender,
    /// The repository's number at the forge.
    pub repository_id: Option<u64>,
    /// Whether the delivery says that the repository is private.
    pub private: bool,
    /// The head commit's message, where the delivery has it: a push does, a pull request does not.
    pub message: Option<Box<str>>,
    /// Set for a pull request.
    pub pull: Option<Pull>,
}

/// What a verified delivery comes down to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Something to build, or to hold.
    Change(Change),
    /// A job of the forge's own workflows: it may need a runner, or does not any more.
    Job(Box<SeenJob>),
    /// A pull request was closed or merged: what is held for it ends. Answered as ignored.
    PullClosed {
        /// Its number.
        number: u64,
        /// The sentence for people.
        reason: String,
    },
    /// A forge tries whether the hook works: never a build. Answered as ignored.
    Test,
    /// Nothing to do, and why.
    Ignored {
        /// The kind, where the delivery is of one that is built.
        kind: Option<EventKind>,
        /// The sentence for people.
        reason: String,
    },
}
