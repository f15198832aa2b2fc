//! What `GET /metrics` tells. No label can be made to grow by somebody without a credential, and no build of a private
//! repository is in any number about builds.

mod label;
mod open;
mod request;

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use self::label::{BytesLabel, OUTCOMES, OpenLabel, OutcomeLabel, RequestLabel, RouteLabel, RunnerLabel, RunnerState};
use self::open::{OpenBuilds, Unposted};
use crate::api::meter::Meter;
use crate::domain::blob::BlobKind;
use crate::domain::outcome::Outcome;
use crate::domain::record::Record;
use crate::domain::timeline::{self, Stage};

pub(crate) use label::{
    Direction, HookForge, HookLabel, HookResult, PostLabel, PostResult, RegistrationLabel, RegistrationResult,
    SessionLabel, SessionResult,
};
pub(crate) use open::Waiting;
pub(crate) use request::measure;

/// Seconds of an answer; forges give up after five.
const ANSWER: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Seconds of a request of ours.
const REQUEST: [f64; 6] = [0.005, 0.025, 0.1, 0.5, 2.5, 10.0];
/// Seconds of a part of a build: a start is seconds, a script minutes, a full cluster hours.
const PART: [f64; 14] =
    [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_800.0, 3_600.0, 10_800.0, 36_000.0];

type Seconds = Gauge<f64, AtomicU64>;

/// The instance's metrics.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    /// Deliveries by forge and result.
    pub(crate) hooks: Family<HookLabel, Counter>,
    /// Seconds from a delivery's first byte to its answer.
    pub(crate) hook_seconds: Histogram,
    /// Seconds from a claim that may go on to a build's id in its record.
    dispatch_seconds: Histogram,
    builds: Family<OutcomeLabel, Counter>,
    queue_seconds: Histogram,
    prepare_seconds: Histogram,
    run_seconds: Histogram,
    /// What is open, by the follower.
    pub(crate) open: OpenBuilds,
    builds_open: Family<OpenLabel, Gauge>,
    builds_oldest: Family<OpenLabel, Seconds>,
    /// Status posts by result.
    pub(crate) statuses: Family<PostLabel, Counter>,
    /// Statuses that a forge does not have yet, by the follower.
    pub(crate) unposted: Unposted,
    statuses_unposted: Gauge,
    statuses_oldest: Seconds,
    /// Sessions that controllers with a valid token asked for, by result.
    pub(crate) sessions: Family<SessionLabel, Counter>,
    /// Registrations of runners by result.
    pub(crate) registrations: Family<RegistrationLabel, Counter>,
    runners_open: Family<RunnerLabel, Gauge>,
    requests: Family<RequestLabel, Counter>,
    request_seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
    bytes: Family<BytesLabel, Counter>,
    log_readers: Gauge,
    log_upstreams: Gauge,
    /// Readers of server-sent events now.
    pub(crate) event_readers: Gauge,
    registry_age: Seconds,
    /// 1 on the replica that is the follower.
    pub(crate) follower: Gauge,
}

/// What is asked for at the moment of the answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: Timestamp,
    pub(crate) log_readers: usize,
    pub(crate) log_upstreams: usize,
    /// Since the registry was last heard.
    pub(crate) registry_age: Duration,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        let parts = || Histogram::new(PART);
        let mut metrics = Self {
            registry: Registry::with_prefix("albatros"),
            hooks: Family::default(),
            hook_seconds: Histogram::new(ANSWER),
            dispatch_seconds: Histogram::new(ANSWER),
            builds: Family::default(),
            queue_seconds: parts(),
            prepare_seconds: parts(),
            run_seconds: parts(),
            open: OpenBuilds::default(),
            builds_open: Family::default(),
            builds_oldest: Family::default(),
            statuses: Family::default(),
            unposted: Unposted::default(),
            statuses_unposted: Gauge::default(),
            statuses_oldest: Seconds::default(),
            sessions: Family::default(),
            registrations: Family::default(),
            runners_open: Family::default(),
            requests: Family::default(),
            request_seconds: Family::new_with_constructor(|| Histogram::new(REQUEST)),
            bytes: Family::default(),
            log_readers: Gauge::default(),
            log_upstreams: Gauge::default(),
            event_readers: Gauge::default(),
            registry_age: Seconds::default(),
            follower: Gauge::default(),
        };
        metrics.register();
        meter.register(&mut metrics.registry);
        metrics.begin_at_zero();
        metrics
    }

    fn register(&mut self) {
        let to = &mut self.registry;
        to.register("hooks", "Deliveries, by forge and by what became of them", self.hooks.clone());
        to.register("hook_seconds", "Seconds to answer a delivery", self.hook_seconds.clone());
        let help = "Seconds from a claim that may go on to its build";
        to.register("dispatch_seconds", help, self.dispatch_seconds.clone());
        to.register("builds", "Ended builds of public repositories, by outcome", self.builds.clone());
        let help = "Builds of public repositories that are not over, by state; on the follower alone";
        to.register("builds_open", help, self.builds_open.clone());
        let help = "Seconds that the oldest of these builds has been in its state; on the follower alone";
        to.register("builds_oldest_seconds", help, self.builds_oldest.clone());
        let help = "Seconds that ended builds of public repositories waited for a node";
        to.register("queue_seconds", help, self.queue_seconds.clone());
        let help = "Seconds from the node to the script's start";
        to.register("prepare_seconds", help, self.prepare_seconds.clone());
        to.register("run_seconds", "Seconds from the script's start to the build's end", self.run_seconds.clone());
        to.register("statuses", "Commit statuses, by what became of the post", self.statuses.clone());
        let help = "Builds whose forge has not been told their newest status; on the follower alone";
        to.register("statuses_unposted", help, self.statuses_unposted.clone());
        let help = "Seconds that the oldest of these statuses has been due";
        to.register("statuses_oldest_seconds", help, self.statuses_oldest.clone());
        to.register("sessions", "Sessions of builds, by what became of the request", self.sessions.clone());
        let help = "Registrations of runners at forges, by what became of the request";
        to.register("runner_registrations", help, self.registrations.clone());
        let help = "Runners of public repositories' workflows that are not over, by state; on the follower alone";
        to.register("runners_open", help, self.runners_open.clone());
        let help = "Requests to this server, by route, by the form that was asked for and by the answer's class";
        to.register("http_requests", help, self.requests.clone());
        let help = "Seconds to the head of an answer, by route";
        to.register("http_request_seconds", help, self.request_seconds.clone());
        let help = "Bytes of artifacts and caches that passed through this server";
        to.register_with_unit("blob", help, Unit::Bytes, self.bytes.clone());
        to.register("log_readers", "Readers of logs now", self.log_readers.clone());
        to.register("log_upstreams", "Log streams read from the engine now", self.log_upstreams.clone());
        to.register("event_readers", "Readers of server-sent events now", self.event_readers.clone());
        let help = "Seconds since the registry last said which repositories there are";
        to.register("registry_age_seconds", help, self.registry_age.clone());
        let help = "1 on the replica that finishes claims and posts statuses";
        to.register("follower", help, self.follower.clone());
        to.register("build", "This program", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
    }

    /// What is not there yet cannot be seen to rise.
    fn begin_at_zero(&self) {
        for forge in HookForge::ALL {
            for result in HookResult::ALL {
                drop(self.hooks.get_or_create(&HookLabel { forge, result }));
            }
        }
        for outcome in OUTCOMES {
            drop(self.builds.get_or_create(&OutcomeLabel { outcome }));
        }
        for result in PostResult::ALL {
            drop(self.statuses.get_or_create(&PostLabel { result }));
        }
        for result in SessionResult::ALL {
            drop(self.sessions.get_or_create(&SessionLabel { result }));
        }
        for result in RegistrationResult::ALL {
            drop(self.registrations.get_or_create(&RegistrationLabel { result }));
        }
        self.set_runners([]);
        for kind in [BlobKind::Artifact, BlobKind::Cache] {
            self.passed(kind, Direction::In, 0);
            self.passed(kind, Direction::Out, 0);
        }
    }

    /// All open records, as the follower has just read them. What is private is not counted.
    pub(crate) fn set_runners<'a>(&self, records: impl IntoIterator<Item = &'a Record>) {
        let public = records.into_iter().filter(|record| !record.private);
        let states: Vec<RunnerState> =
            public.filter_map(|record| Some(RunnerState::of(record, record.runner.as_deref()?))).collect();
        for state in RunnerState::ALL {
            let count = states.iter().filter(|one| **one == state).count();
            self.runners_open.get_or_create(&RunnerLabel { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A build is over, and that is written down. Jobs of builds are not counted, nor is what is private.
    pub(crate) fn ended(&self, record: &Record, outcome: &Outcome) {
        if record.private || record.parent.is_some() || record.runner.is_some() {
            return;
        }
        self.builds.get_or_create(&OutcomeLabel { outcome: outcome.word() }).inc();
        for step in timeline::of_record(record) {
            // A part that was not gone through to its end says nothing of how long it takes.
            let part = match step.stage {
                Stage::Queued => record.placed.as_ref().map(|_| &self.queue_seconds),
                Stage::Preparing => record.started.map(|_| &self.prepare_seconds),
                Stage::Running => Some(&self.run_seconds),
                Stage::Held | Stage::Waiting => None,
            };
            if let (Some(part), Some(until)) = (part, step.until) {
                part.observe(seconds(step.from, until));
            }
        }
    }

    /// A build has its child, and that is written down. What is private is not counted.
    pub(crate) fn dispatched(&self, record: &Record) {
        if !record.private && record.runner.is_none() {
            let since = record.let_through.or(record.approved).unwrap_or(record.created);
            self.dispatch_seconds.observe(seconds(since, Timestamp::now()));
        }
    }

    /// Counts bytes that pass through here piece by piece.
    pub(crate) fn passing(&self, kind: BlobKind, direction: Direction) -> Counter {
        self.bytes.get_or_create_owned(&BytesLabel::of(kind, direction))
    }

    /// Bytes passed through here.
    pub(crate) fn passed(&self, kind: BlobKind, direction: Direction, bytes: u64) {
        self.bytes.get_or_create(&BytesLabel::of(kind, direction)).inc_by(bytes);
    }

    /// The text format of OpenMetrics.
    pub(crate) fn text(&self, moment: &Moment) -> String {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        let age = |since: Option<Timestamp>| since.map_or(0.0, |since| seconds(since, moment.now));
        self.log_readers.set(count(moment.log_readers));
        self.log_upstreams.set(count(moment.log_upstreams));
        self.registry_age.set(moment.registry_age.as_secs_f64());
        for open in self.open.now() {
            let label = OpenLabel { state: open.state };
            self.builds_open.get_or_create(&label).set(open.count);
            self.builds_oldest.get_or_create(&label).set(age(open.since));
        }
        let (unposted, oldest) = self.unposted.now();
        self.statuses_unposted.set(count(unposted));
        self.statuses_oldest.set(age(oldest));
        let mut text = String::new();
        // Writing into a string cannot fail; an empty answer would be noticed.
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

fn seconds(from: Timestamp, until: Timestamp) -> f64 {
    until.duration_since(from).as_secs_f64().max(0.0)
}
