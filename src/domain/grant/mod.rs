//! What one build may have: asked for once by its controller, decided by its record, never by its child's meta.

mod given;
mod named;
mod wire;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::event::EventKind;
use super::id::{ClaimId, CommitSha, Flavor};
use super::job::JobSpec;
use super::params::Params;
use super::secret::Secret;
use super::trigger;

pub use named::{NamedError, named};
pub(crate) use wire::{Wire as GrantWire, WireCheckout};

/// What a build is: `GET /v1/build` of its controller says it, with the build's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Facts {
    /// REPO_URL.
    pub repo_url: String,
    /// COMMIT.
    pub commit: CommitSha,
    /// BRANCH: for a tag its name, for a pull request `pull/N/head`.
    pub branch: String,
    /// FLAVOR.
    pub flavor: Flavor,
    /// REF; none where the build was dispatched without it.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    /// EVENT; none where the build was dispatched without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventKind>,
    /// The login of who acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// The pull request's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_request: Option<u64>,
    /// Whether the build may see the repository's secrets.
    pub trusted: bool,
}

/// How the workspace is made: `GET /v1/workspace`, for `prepare` alone.
#[derive(Debug, Clone)]
pub struct Checkout {
    /// The commit's files at all: a job may want an empty workspace.
    pub source: bool,
    /// Submodules as well.
    pub submodules: bool,
    /// Files of git LFS as well.
    pub lfs: bool,
    /// For a repository that is not everybody's.
    pub credential: Option<Credential>,
}

/// What git shows to a forge.
#[derive(Debug, Clone)]
pub struct Credential {
    /// Only for addresses that begin so: the repository's own, or for a trusted build with submodules its whole forge.
    pub scope: String,
    /// The user's name of HTTP basic authentication; forges look at the password.
    pub user: String,
    /// The forge token.
    pub password: Secret,
}

/// All that a session is given.
#[derive(Debug, Clone)]
pub struct Grant {
    /// What the build is.
    pub facts: Facts,
    /// How its workspace is made.
    pub checkout: Checkout,
    /// `inject`, byte for byte; none for a build that is not trusted, or where there is none.
    pub inject: Option<Secret>,
    /// What a person gave with `trigger`, trusted or not: no secrets, and of no name that `inject` has.
    pub params: BTreeMap<String, String>,
    /// What a job is to do, instead of the repository's `.albatros`.
    pub job: Option<Box<JobSpec>>,
    /// Of a service: what its controller asks of who connects to it.
    pub service_secret: Option<Secret>,
    /// The session itself, for a controller that is handed all of this at its start and does not ask.
    pub session: Option<GivenSession>,
}

impl Grant {
    /// What `SECRET_PATH` holds: `inject` byte for byte, behind what was given where both can be read as one.
    #[must_use]
    pub fn text(&self) -> Option<Secret> {
        match (&self.inject, trigger::lines(&self.params)) {
            (None, given) => given,
            (Some(inject), None) => Some(inject.clone()),
            (Some(inject), Some(given)) if Params::parse(inject.expose()).is_ok() => {
                Some(Secret::new(format!("{}{}", given.expose(), inject.expose())))
            }
            (Some(inject), Some(_)) => Some(inject.clone()),
        }
    }
}

/// A session that was made for a controller, by an engine on the same machine.
#[derive(Debug, Clone)]
pub struct GivenSession {
    /// Where serve is.
    pub server: Url,
    /// The claim.
    pub claim: ClaimId,
    /// What the record keeps the hash of.
    pub secret: Secret,
}
