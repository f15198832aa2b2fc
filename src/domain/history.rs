//! What is kept of ended changes when Nomad and the registry have forgotten them.

use serde::{Deserialize, Serialize};

use super::id::ClaimId;
use super::outcome::Outcome;
use super::place::{BuildPlace, RepoHash, RepoPlace};
use super::record::Done;
use super::report::Report;

/// An ended change as the store has it: `record/<own claim>.json` with its report, `history/…` without.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// Its own claim.
    pub claim: ClaimId,
    /// How it ended.
    #[serde(flatten)]
    pub done: Done,
    /// What its script has reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
}

impl Story {
    /// Of an ended change. The session's hash is nobody's business any more.
    #[must_use]
    pub fn of(claim: &ClaimId, done: &Done, report: Option<Report>) -> Self {
        let done = Done { session: None, kept: true, ..done.clone() };
        Self { claim: claim.clone(), done, report }
    }

    /// Without what only the build's own page shows.
    #[must_use]
    pub fn line(&self) -> Self {
        Self { report: None, ..self.clone() }
    }

    /// Whether later builds of its ref may take what it left: a push or a tag that was built with success.
    #[must_use]
    pub fn is_green(&self) -> bool {
        self.done.parent.is_none()
            && self.done.runner.is_none()
            && self.done.pull_request.is_none()
            && self.done.outcome == Outcome::Success
    }
}

/// Where what is kept of a build is: `index/…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// The repository.
    pub repo: RepoHash,
    /// The change's claim: of a job that of the build which started it, and so on.
    pub claim: ClaimId,
    /// Its own claim.
    pub own: ClaimId,
}

impl Home {
    /// What is kept of the change.
    #[must_use]
    pub fn place(&self) -> BuildPlace {
        RepoPlace::by_hash(self.repo.clone()).build(&self.claim)
    }
}
