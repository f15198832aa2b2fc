//! Jobs: what a build starts beside itself, each a build of its own with its parent's change and trust.
//!
//! `plan` reads files of them, `graph` checks what they need of each other, `board` decides what is next.

pub mod board;
pub mod graph;
pub mod plan;
mod rules;
pub mod view;

mod check;
mod child;
mod state;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::duration::Span;
use super::id::{BlobId, JobName};

pub use check::{SPEC_MOST, SpecError};
pub use child::{Child, builder};
pub use state::{Job, JobList, JobState};

/// One job, as `POST /v1/jobs` takes it and as it stands in a plan. Paths are relative to its working directory. Either `command` or `script`, or neither: then what
/// the repository's `.albatros` says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// Good once in a build.
    pub name: JobName,
    /// The container's image; none: that of the job builder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A program and its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// A script; its first line names its interpreter, else `/bin/sh`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// Not for secrets: it stands in the registry.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The parameters of the repository that it gets, by name, as environment; of a build that may have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<String>,
    /// A checkout of the commit as its working directory; absent: yes, but not for a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<bool>,
    /// Jobs that must have ended before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<JobName>,
    /// How they must have ended.
    #[serde(default, skip_serializing_if = "When::is_default")]
    pub when: When,
    /// It waits until a person approves it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub hold: bool,
    /// When it fails, all other jobs of the build are stopped, and none is started.
    #[serde(default, skip_serializing_if = "is_false")]
    pub stop_rest: bool,
    /// It serves: it is ready when its port takes connections, and its end is no success.
    #[serde(default, skip_serializing_if = "is_false")]
    pub service: bool,
    /// The port that a service listens on, on its own loopback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// The longest it may run; absent: what is left to its parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Put into its working directory before it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub get: Vec<Take>,
    /// Kept when it has ended with success; one that cannot be kept fails the job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub put: Vec<Leave>,
    /// Restored before it starts, and kept when it has ended with success.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheUse>,
}

/// An artifact of the build, or of one of its jobs, for a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// Which.
    pub artifact: BlobId,
    /// The directory that it is put into; absent: the working directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
}

/// An artifact that a job leaves to its build.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Leave {
    /// Its name.
    pub artifact: BlobId,
    /// Files and directories.
    pub paths: Vec<String>,
}

/// A cache that a job uses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheUse {
    /// The whole key; `{hash}` stands for the hash of `hash`.
    pub key: String,
    /// Beginnings of keys that are good enough, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallback: Vec<String>,
    /// Files whose content makes `{hash}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hash: Vec<String>,
    /// Files and directories.
    pub paths: Vec<String>,
}

/// How the jobs that one needs must have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// All with success; a service: that it is ready.
    #[default]
    Success,
    /// At least one without success.
    Failure,
    /// In any way.
    Always,
}

impl When {
    /// Left out where a job is written down.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whose job a build is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The claim of the build that started it.
    pub claim: super::id::ClaimId,
    /// The job's name there.
    pub name: JobName,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !*value
}
