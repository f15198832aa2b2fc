//! Role `serve`: webhooks in, dispatch, statuses out, log tails.

mod logs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use crate::domain::config::PeopleTokens;
use crate::engine::Engine;
use crate::registry::Registry;

/// What `serve` was told, after parsing; `cli::settings` makes it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `ALBATROS_URL`: the public address for links, without a trailing slash.
    pub url: Option<Url>,
    /// `ALBATROS_NAMESPACE`: Nomad's namespace for builds.
    pub namespace: String,
    /// `NOMAD_REGION`, else `global`.
    pub region: String,
    /// `ALBATROS_PREFIX`.
    pub prefix: String,
    /// `ALBATROS_BODY_LIMIT`, bytes.
    pub body_limit: usize,
    /// `ALBATROS_QUEUE_LIMIT`.
    pub queue_limit: Duration,
    /// `ALBATROS_UNKNOWN_LIMIT`.
    pub unknown_limit: Duration,
    /// Where logs are spooled while they are read.
    pub spool: PathBuf,
    /// Bearers of the instance itself (`dev` makes one up); repositories have their own.
    pub people: PeopleTokens,
}

/// Everything a handler or the follower works with.
#[derive(Debug)]
pub struct App {
    /// What was told.
    pub settings: Settings,
    /// Where builds run.
    pub engine: Engine,
    /// Where repositories and claims are.
    pub registry: Registry,
    /// For forges: no credentials of ours but the repository's.
    pub forge_client: reqwest::Client,
}

/// Shared by all tasks of a server.
pub type SharedApp = Arc<App>;
