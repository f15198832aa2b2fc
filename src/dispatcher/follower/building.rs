//! While there is a build: what the engine says of it, its limits, and being stopped.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::course::{Course, Halt, LOOK_AGAIN, Next};
use super::queue::Progress;
use super::waiting::come_back;
use crate::domain::config::RepoConfig;
use crate::domain::duration::Span;
use crate::domain::nomad::Snapshot;
use crate::domain::outcome::{Machine, Outcome, Verdict, judge};
use crate::domain::placed::Placed;
use crate::domain::record::{Record, Stop, StopWhy};
use crate::domain::runners::Runner;
use crate::domain::status::status_of;
use crate::domain::times::Times;
use crate::engine::EngineError;
use crate::registry::Entry;

/// A build that its engine does not know is looked for again: the answer may come from a server that lags behind.
const GONE_APART: Duration = Duration::from_secs(2);
/// How often it must be unknown, where it was seen before and where it never was.
const GONE_READS: (u32, u32) = (2, 5);
/// A stop that has shown no effect is sent again after this.
const STOP_AGAIN: Duration = Duration::from_secs(30);
/// After a build has started or changed, reads do not rely on hints alone: they come after this, then ever later.
const FIRST_READ: Duration = Duration::from_secs(2);

/// What this process knows of a build beside its record.
#[derive(Debug)]
pub(super) struct Building {
    /// What the engine said last. It is judged each time it is used, by the record of that moment: the reason of a stop
    /// may have been written after the read.
    snapshot: Option<Snapshot>,
    reading: Option<Reading>,
    read_at: Option<Instant>,
    read_due: Instant,
    reads: Backoff,
    /// The engine has shown the job to this process.
    seen: bool,
    gone: u32,
    unknown_since: Option<Instant>,
    running_since: Option<Timestamp>,
    stop_sent: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq)]
struct Reading {
    verdict: Verdict,
    times: Times,
}

/// What a record says beside what the engine does: why the build was stopped, and what its machine has told.
type Told<'a> = (Option<&'a Stop>, Option<&'a Machine>);

fn told(record: &Record) -> Told<'_> {
    (record.stop.as_ref(), record.machine.as_ref())
}

impl Reading {
    fn of(snapshot: &Snapshot, (stop, machine): Told<'_>) -> Self {
        Self { verdict: Machine::judge(machine, stop.is_some(), judge(snapshot, stop)), times: Times::of(snapshot) }
    }
}

impl Default for Building {
    fn default() -> Self {
        Self {
            snapshot: None,
            reading: None,
            read_at: None,
            read_due: Instant::now(),
            reads: Backoff::new(FIRST_READ, LOOK_AGAIN),
            seen: false,
            gone: 0,
            unknown_since: None,
            running_since: None,
            stop_sent: None,
        }
    }
}

impl Building {
    /// Something may have changed: read soon, but so long after the last time.
    pub(super) fn hint(&mut self, apart: Duration) {
        let soonest = self.read_at.map_or_else(Instant::now, |at| at + apart);
        self.read_due = self.read_due.min(soonest);
    }

    fn note(&mut self, snapshot: Snapshot, told: Told<'_>) {
        let reading = Reading::of(&snapshot, told);
        self.seen |= snapshot.job.is_some();
        let gone = matches!(reading.verdict, Verdict::Ended(Outcome::Expired));
        self.gone = if gone { self.gone + 1 } else { 0 };
        let unknown = matches!(reading.verdict, Verdict::Open { unknown: true, .. });
        self.unknown_since = unknown.then(|| self.unknown_since.unwrap_or_else(Instant::now));
        if matches!(reading.verdict, Verdict::Running) {
            self.running_since.get_or_insert_with(Timestamp::now);
        }
        if self.reading.as_ref() != Some(&reading) {
            self.reads.reset();
        }
        self.reading = Some(reading);
        self.snapshot = Some(snapshot);
        self.next_read(None);
    }

    fn judged(&self, told: Told<'_>) -> Option<Reading> {
        self.snapshot.as_ref().map(|snapshot| Reading::of(snapshot, told))
    }

    /// Where its newest attempt is, or was.
    pub(super) fn placed(&self, record: &Record) -> Option<Placed> {
        let read = self.snapshot.as_ref().and_then(|read| Placed::of(read, record.created, Timestamp::now()));
        match (&record.placed, read) {
            (Some(known), Some(read)) if known.allocation == read.allocation => Some(known.clone()),
            (known, read) => read.or_else(|| known.clone()),
        }
    }

    fn next_read(&mut self, within: Option<Duration>) {
        let wait = self.reads.wait();
        self.read_at = Some(Instant::now());
        self.read_due = Instant::now() + within.unwrap_or(wait);
    }

    fn is_surely_gone(&self) -> bool {
        self.gone >= if self.seen { GONE_READS.0 } else { GONE_READS.1 }
    }

    fn until_read(&self) -> Duration {
        self.read_due.saturating_duration_since(Instant::now())
    }
}

impl Course {
    /// Reads the build where that is due, ends it where it is over, stops it where it must be, and reports.
    pub(super) async fn building(&mut self) -> Result<Next, Halt> {
        if self.stored.value.statuses.intended.is_none()
            && self.report(status_of(&self.stored.value, None)).await? == Progress::Changed
        {
            return Ok(Next::Again);
        }
        if self.build.until_read().is_zero() {
            self.read().await?;
        }
        let Some(reading) = self.build.judged(told(&self.stored.value)) else {
            return Ok(Next::In(self.build.until_read()));
        };
        let verdict = Runner::judge(self.stored.value.runner.as_deref(), reading.verdict);
        let reading = Reading { verdict, ..reading };
        if let Verdict::Ended(outcome) = reading.verdict {
            if outcome != Outcome::Expired || self.build.is_surely_gone() {
                return self.end(outcome, reading.times).await;
            }
            self.build.next_read(Some(GONE_APART));
            return Ok(Next::In(GONE_APART));
        }
        let record = &self.stored.value;
        let (started, placed) = (record.started.or(reading.times.started), self.build.placed(record));
        if record.started != started || record.placed != placed {
            let record = Record { started, placed, ..record.clone() };
            self.write(record).await?;
            return Ok(Next::Again);
        }
        if self.note_seen(&reading.verdict).await? {
            return Ok(Next::Again);
        }
        let record = &self.stored.value;
        let deadline = match &record.stop {
            Some(_) => {
                self.send_stop().await;
                STOP_AGAIN
            }
            None => match self.limit(&reading.verdict).await? {
                Limit::Over(stop) => {
                    tracing::info!(claim = self.claim.as_str(), why = ?stop.why, "a build is over its limit");
                    let record = Record { stop: Some(stop), ..self.stored.value.clone() };
                    self.write(record).await?;
                    return Ok(Next::Again);
                }
                Limit::Left(left) => left,
            },
        };
        let progress = self.report(status_of(&self.stored.value, Some(&reading.verdict))).await?;
        Ok(come_back(progress, deadline.min(self.build.until_read())))
    }

    async fn read(&mut self) -> Result<(), Halt> {
        let record = &self.stored.value;
        let Some(build) = &record.build else {
            // A record says `dispatched` only together with its child; whoever wrote this did not write it all.
            self.build.note(Snapshot::default(), (None, None));
            return Ok(());
        };
        let turns = std::sync::Arc::clone(&self.shared.engine_turns);
        let Ok(_turn) = turns.acquire().await else { return Ok(()) };
        match self.shared.app.engine.observe(build).await {
            Ok(snapshot) => self.build.note(snapshot, told(record)),
            Err(EngineError::Unknown(_)) => self.build.note(Snapshot::default(), told(record)),
            Err(error) => {
                let build = build.as_str();
                tracing::warn!(build, error = &error as &dyn std::error::Error, "a build could not be read");
                self.build.next_read(None);
            }
        }
        Ok(())
    }

    /// Tells the engine to stop; the record says so already. It is said again until it shows.
    async fn send_stop(&mut self) {
        let Some(build) = &self.stored.value.build else { return };
        if self.build.stop_sent.is_some_and(|at| at.elapsed() < STOP_AGAIN) {
            return;
        }
        match self.shared.app.engine.stop(build).await {
            Ok(()) => {
                self.build.stop_sent = Some(Instant::now());
                self.build.hint(self.shared.app.engine.reads_apart());
            }
            Err(error) => {
                let build = build.as_str();
                tracing::warn!(build, error = &error as &dyn std::error::Error, "a build could not be stopped");
                self.build.hint(self.shared.app.engine.reads_apart());
            }
        }
    }

    async fn limit(&self, verdict: &Verdict) -> Result<Limit, Halt> {
        let settings = &self.shared.app.settings;
        let record = &self.stored.value;
        let now = Timestamp::now();
        let unknown = self.build.unknown_since.map(|since| settings.unknown_limit.saturating_sub(since.elapsed()));
        if unknown.is_some_and(|left| left.is_zero()) {
            return Ok(Limit::Over(Stop { why: StopWhy::Lost, by: "Albatros".to_owned(), at: now }));
        }
        if let Some(started) = record.started {
            return Ok(self.timeout(started, now).await?.or_sooner(unknown));
        }
        let waits = match verdict {
            Verdict::Queued { .. } | Verdict::Unplaceable { .. } | Verdict::Open { unknown: false, .. } => true,
            Verdict::Preparing | Verdict::Running | Verdict::Open { unknown: true, .. } | Verdict::Ended(_) => false,
        };
        let left = if waits { self.queue_left(self.config().await?.as_ref()) } else { LOOK_AGAIN };
        if waits && left.is_zero() {
            return Ok(Limit::Over(Stop { why: StopWhy::Queue, by: "Albatros".to_owned(), at: now }));
        }
        Ok(Limit::Left(left).or_sooner(unknown))
    }

    /// The configuration's time limit, from the executor's start. The node's clock may be wrong, so it is believed
    /// only between the claim and the moment the script was first seen running.
    async fn timeout(&self, started: Timestamp, now: Timestamp) -> Result<Limit, Halt> {
        let Some(limit) = self.time_limit().await? else { return Ok(Limit::Left(LOOK_AGAIN)) };
        let latest = self.build.running_since.unwrap_or(now);
        let believed = started.min(latest).max(self.stored.value.created);
        let limit = SignedDuration::try_from(limit.get()).unwrap_or(SignedDuration::MAX);
        let left = limit.saturating_sub(now.duration_since(believed));
        if left.is_positive() {
            return Ok(Limit::Left(Duration::try_from(left).unwrap_or_default()));
        }
        let at = started.checked_add(limit).unwrap_or(now);
        Ok(Limit::Over(Stop { why: StopWhy::Timeout, by: "the time limit".to_owned(), at }))
    }

    /// The configuration's, or a job's own where that is less. None where there is neither, as the configuration is gone or
    /// broken: then the limits of the builder must do.
    async fn time_limit(&self) -> Result<Option<Span>, Halt> {
        if let Some(runner) = self.stored.value.runner.as_deref() {
            return Ok(Some(runner.timeout));
        }
        let own = self.stored.value.job.as_ref().and_then(|job| job.timeout);
        Ok(match self.config().await? {
            Some(config) => Some(own.map_or(config.timeout, |own| own.min(config.timeout))),
            None => own,
        })
    }

    /// None where it is gone or broken.
    async fn config(&self) -> Result<Option<RepoConfig>, Halt> {
        let Ok(url) = self.stored.value.repo.parse() else { return Ok(None) };
        Ok(match self.shared.app.registry.entry(&url).await? {
            Entry::Found(found) => Some(found.config),
            Entry::Unknown | Entry::Broken(_) => None,
        })
    }
}

/// How a build stands to its limits.
enum Limit {
    Over(Stop),
    Left(Duration),
}

impl Limit {
    fn or_sooner(self, other: Option<Duration>) -> Self {
        match (self, other) {
            (Self::Left(left), Some(other)) => Self::Left(left.min(other)),
            (limit, _) => limit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::nomad::{Allocation, Job, TaskGroup};

    /// Nomad was read after it had been told to stop, the record before the reason was written into it.
    #[test]
    fn a_reason_written_after_the_read_is_the_reason() {
        let job = Job { stop: true, status: "dead".to_owned(), ..Job::default() };
        let job = Job { task_groups: vec![TaskGroup { name: "runner".to_owned(), ..Default::default() }], ..job };
        let allocation = Allocation {
            task_group: "runner".to_owned(),
            client_status: "complete".to_owned(),
            desired_status: "stop".to_owned(),
            ..Allocation::default()
        };
        let mut building = Building::default();
        building
            .note(Snapshot { job: Some(job), allocations: vec![allocation], evaluations: Vec::new() }, (None, None));
        let of = |stop: Option<&Stop>| building.judged((stop, None)).unwrap().verdict;
        assert!(matches!(of(None), Verdict::Ended(Outcome::Cancelled { by }) if by == "a user of Nomad"));
        let stop = Stop { why: StopWhy::Cancel, by: "a user".to_owned(), at: Timestamp::UNIX_EPOCH };
        assert_eq!(of(Some(&stop)), Verdict::Ended(Outcome::Cancelled { by: "a user".to_owned() }));
    }
}
