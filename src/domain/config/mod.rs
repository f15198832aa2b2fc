//! One repository's configuration: the JSON value under its Consul key.

mod draft;
mod field;
mod parse;
mod pools;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use draft::{Draft, DraftForge, redacted};

use super::duration::Span;
use super::id::{BuilderName, Flavor};
use super::pattern::Patterns;
use super::runners::Pool;
use super::secret::Secret;

/// A repository's configuration, checked. Made by [`RepoConfig::parse`] only.
#[derive(Debug, Clone)]
pub struct RepoConfig {
    /// The first of `hook.secret`, else of `hook.token`: keys claims, links and payload traces.
    pub claim_key: Secret,
    /// `hook.secret`: keys for an HMAC over the body; the first signs. Never holds an empty one.
    pub hook_secrets: Vec<Secret>,
    /// `hook.token`: what `?token=` or a bearer must equal; the first keys claims where there is no secret.
    pub hook_tokens: Vec<Secret>,
    /// `gitea` (or `forgejo`) or `github`: where statuses go.
    pub forge: Option<ForgeConfig>,
    /// `trusted.senders`.
    pub trusted: Vec<TrustedSender>,
    /// `trusted.repository_id` or `repository_id`: the repository's number, which a trusted push must carry once given.
    pub repository_id: Option<u64>,
    /// `inject`: the file of secrets for trusted builds, byte for byte.
    pub inject: Option<Secret>,
    /// `builders.default`.
    pub builder: BuilderName,
    /// `builders.untrusted`: takes every untrusted build; where absent they go where a trusted one would.
    pub untrusted_builder: Option<BuilderName>,
    /// `builders.jobs`: what builds start beside themselves. Default `container`.
    pub job_builder: BuilderName,
    /// `builders.untrusted_jobs`: the same of untrusted builds.
    pub untrusted_job_builder: Option<BuilderName>,
    /// `builders.flavors`.
    pub flavors: BTreeMap<Flavor, FlavorConfig>,
    /// `pull_requests`.
    pub pull_requests: PullPolicy,
    /// `private`; absent means what the delivery says.
    pub private: Option<bool>,
    /// `tokens`; absent means that `hook.token` does both.
    pub tokens: Option<PeopleTokens>,
    /// `submodules`: the checkout has them too. Default false.
    pub submodules: bool,
    /// `lfs`: the checkout has the files of git LFS too. Default false.
    pub lfs: bool,
    /// `timeout`, from the executor's start. Default 1h.
    pub timeout: Span,
    /// `concurrency`: whose turn it is.
    pub concurrency: Concurrency,
    /// `branches`: pushes to other branches are skipped; absent means all.
    pub branches: Option<Patterns>,
    /// `paths`: a change that touches none of these files is skipped; absent means all.
    pub paths: Option<Patterns>,
    /// `paths_ignore`: a change that touches nothing but these files is skipped; absent means none.
    pub paths_ignore: Option<Patterns>,
    /// `runners`: runners for the forge's own workflows; empty means none.
    pub runners: Vec<Pool>,
}

/// Where and how statuses are posted.
#[derive(Debug, Clone)]
pub struct ForgeConfig {
    /// Which API.
    pub kind: ForgeKind,
    /// The forge's address without a trailing slash; for GitHub the API's address.
    pub url: url::Url,
    /// The token that may write statuses.
    pub token: Secret,
}

/// The APIs that statuses are posted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgeKind {
    /// Gitea and Forgejo.
    Gitea,
    /// GitHub.
    Github,
}

/// An entry of `trusted.senders`: a login (ASCII case ignored) and, once given, an id that must match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedSender {
    /// The login.
    pub login: String,
    /// The account's number.
    pub id: Option<u64>,
}

/// An entry of `builders.flavors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlavorConfig {
    /// The builder; the default one where absent.
    pub builder: Option<BuilderName>,
    /// What `IMAGE` says.
    pub image: Option<String>,
}

/// What happens to pull requests that are not of this repository's own branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Wait for `approve`.
    #[default]
    Hold,
    /// Build at once, never with secrets.
    Build,
    /// Do nothing.
    Ignore,
}

/// `concurrency`: which builds of the repository may run beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Concurrency {
    /// A newer change of the same ref and flavor cancels the older; the forge says which is the head.
    pub supersede: bool,
    /// Builds of the repository at a time, at least 1; absent means any number. Jobs that builds start do not count.
    pub max: Option<u32>,
    /// How long a change may wait for its turn and then for a node; absent means `ALBATROS_QUEUE_LIMIT`.
    pub queue: Option<Span>,
}

impl Concurrency {
    /// Whether a change has to wait for the follower to say that it is its turn.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.supersede || self.max.is_some()
    }
}

/// Bearers for people.
#[derive(Debug, Clone, Default)]
pub struct PeopleTokens {
    /// May read private pages and logs.
    pub read: Vec<Secret>,
    /// May cancel, retry, approve and trigger; may read too.
    pub act: Vec<Secret>,
}

/// Why a configuration cannot be used: names the field, never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {0}")]
pub struct ConfigError(pub String);
