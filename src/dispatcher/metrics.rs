//! What `GET /metrics` tells. No label can be made to grow by somebody without a credential.

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum HookResult {
    /// A build was dispatched.
    Built,
    /// Claimed; the follower goes on.
    Accepted,
    /// Built before, or being built.
    Duplicate,
    /// Nothing to do.
    Ignored,
    /// Not built, by the commit's message or the configuration; the forge is told.
    Skipped,
    /// Waits for approval.
    Held,
    /// No or a wrong credential, or an unknown repository.
    Unauthorized,
    /// Could not be read, or a value was refused.
    Refused,
    /// Consul, Nomad or the configuration stood in the way.
    Failed,
}

/// The label of hooks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct HookLabel {
    pub(crate) result: HookResult,
}

/// The label of ended builds: the outcome's word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OutcomeLabel {
    pub(crate) outcome: &'static str,
}

/// What became of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum PostResult {
    /// The forge took it.
    Posted,
    /// It failed and is tried again.
    Retried,
    /// The forge refused it for good.
    GivenUp,
}

/// The label of status posts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PostLabel {
    pub(crate) result: PostResult,
}

/// What became of a controller that asked for its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub(crate) enum SessionResult {
    /// It has it.
    Granted,
    /// It has to ask again.
    Later,
    /// It gets none.
    Refused,
}

/// The label of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SessionLabel {
    pub(crate) result: SessionResult,
}

/// The instance's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Deliveries by result.
    pub(crate) hooks: Family<HookLabel, Counter>,
    /// Seconds from a delivery's first byte to its answer.
    pub(crate) hook_seconds: Histogram,
    /// Public builds by outcome.
    pub(crate) builds: Family<OutcomeLabel, Counter>,
    /// Status posts by result.
    pub(crate) statuses: Family<PostLabel, Counter>,
    /// Sessions that controllers with a valid token asked for, by result.
    pub(crate) sessions: Family<SessionLabel, Counter>,
    /// Readers of logs now.
    pub(crate) log_readers: Gauge,
    /// Log streams open at the engine now.
    pub(crate) log_upstreams: Gauge,
    /// 1 on the replica that is the follower.
    pub(crate) follower: Gauge,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("albatros");
        let hooks = Family::default();
        registry.register("hooks", "Deliveries, by what became of them", hooks.clone());
        let hook_seconds = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        registry.register("hook_seconds", "Seconds to answer a delivery", hook_seconds.clone());
        let builds = Family::default();
        registry.register("builds", "Ended builds of public repositories, by outcome", builds.clone());
        let statuses = Family::default();
        registry.register("statuses", "Commit statuses, by what became of the post", statuses.clone());
        let sessions = Family::default();
        registry.register("sessions", "Sessions of builds, by what became of the request", sessions.clone());
        let log_readers = Gauge::default();
        registry.register("log_readers", "Readers of logs now", log_readers.clone());
        let log_upstreams = Gauge::default();
        registry.register("log_upstreams", "Log streams read from the engine now", log_upstreams.clone());
        let follower = Gauge::default();
        registry.register("follower", "1 on the replica that finishes claims and posts statuses", follower.clone());
        Self { registry, hooks, hook_seconds, builds, statuses, sessions, log_readers, log_upstreams, follower }
    }

    /// The text format of OpenMetrics.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string cannot fail; an empty answer would be noticed.
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}
