//! One change's course, from its claim to its report: a loop that looks at the record and does the next thing.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::child::Orphan;
use super::forges::Forges;
use super::lock::Lock;
use super::queue::Queue;
use super::recheck::Recheck;
use super::supersede::Measure;
use super::turn::Turn;
use crate::dispatcher::SharedApp;
use crate::domain::id::ClaimId;
use crate::domain::outcome::Outcome;
use crate::domain::record::{Phase, Record};
use crate::domain::status::status_of;
use crate::domain::times::Times;
use crate::registry::{RegistryError, Stored, Written};

/// A course that has nothing else to wait for looks again after this.
pub(super) const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How long a status that is being sent may take to settle when this process ends.
const SETTLE_WITHIN: Duration = Duration::from_secs(3);

/// What the list of open records last said of a change; none when it no longer has it.
pub(super) type News = Option<Stored<Record>>;

/// What all courses share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    pub(super) app: SharedApp,
    pub(super) lock: Arc<Lock>,
    /// Reads and dispatches at the engine at once: an agent takes 100 connections, and logs need most of them.
    pub(super) engine_turns: Arc<Semaphore>,
    pub(super) forges: Arc<Forges>,
}

/// What wakes a course from outside.
#[derive(Debug)]
pub(super) struct Wakers {
    pub(super) news: watch::Receiver<News>,
    pub(super) poke: Arc<Notify>,
    pub(super) orphan: Arc<Orphan>,
    pub(super) turn: Arc<Turn>,
}

/// What to do after a step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Next {
    /// The record has changed: look at it at once.
    Again,
    /// Look again after this, or when something happens.
    In(Duration),
    /// There is no open record any more.
    Over,
}

/// Why a step could not be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Halt {
    #[error("the follower's lock is lost")]
    LeaseLost,
    #[error("the registry did not answer")]
    Registry(#[from] RegistryError),
}

/// One open record being followed. All its writes go through [`Course::write`].
#[derive(Debug)]
pub(super) struct Course {
    pub(super) shared: Shared,
    pub(super) claim: ClaimId,
    pub(super) stored: Stored<Record>,
    pub(super) queue: Queue,
    pub(super) build: super::building::Building,
    /// When this process first saw that it is to be dispatched.
    pub(super) claimed_since: Option<Instant>,
    /// This process has just let it through: nobody else dispatches it.
    pub(super) dispatch_at_once: bool,
    pub(super) measured: Measure,
    /// When this process first saw that it was stopped before there was a build.
    pub(super) stop_seen: Option<Instant>,
    pub(super) asking: super::decide::Asking,
    /// Before this no dispatch is tried again.
    pub(super) dispatch_after: Option<Instant>,
    pub(super) dispatch_backoff: Backoff,
    /// When this process last wrote down how far a job is.
    pub(super) seen_at: Option<Timestamp>,
    /// What is kept here may not be what is stored: read before deciding.
    stale: bool,
    wakers: Wakers,
}

impl Course {
    pub(super) fn new(shared: Shared, claim: ClaimId, stored: Stored<Record>, wakers: Wakers) -> Self {
        let queue = Queue::taken_over(&stored.value.statuses);
        // A list that is older than the move to `done/` still has what has ended: never post on its word alone.
        let stale = matches!(stored.value.phase, Phase::Ended { .. });
        Self {
            shared,
            claim,
            stored,
            queue,
            build: super::building::Building::default(),
            claimed_since: None,
            dispatch_at_once: false,
            measured: Measure::default(),
            stop_seen: None,
            asking: super::decide::Asking::default(),
            dispatch_after: None,
            dispatch_backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(30)),
            seen_at: None,
            stale,
            wakers,
        }
    }

    /// Follows until the record is gone, the lock is lost or this process ends. Gives back a final status that an
    /// older post may still overtake.
    pub(super) async fn follow(mut self) -> Option<Recheck> {
        let mut trouble = Backoff::new(Duration::from_millis(500), Duration::from_secs(20));
        loop {
            let next = match self.step().await {
                Ok(next) => {
                    trouble.reset();
                    next
                }
                Err(Halt::LeaseLost) => {
                    self.shared.lock.lose();
                    return None;
                }
                Err(Halt::Registry(error)) => {
                    let claim = self.claim.as_str();
                    tracing::warn!(
                        claim,
                        error = &error as &dyn std::error::Error,
                        "a record could not be handled now"
                    );
                    self.stale = true;
                    Next::In(trouble.wait())
                }
            };
            match next {
                Next::Over => return self.queue.recheck(&self.shared, &self.claim, &self.stored.value),
                Next::Again => {}
                Next::In(wait) => self.wait(wait).await,
            }
            if self.shared.lock.lost().is_cancelled() {
                return None;
            }
            if self.shared.lock.leaving().is_cancelled() {
                self.leave().await;
                return None;
            }
        }
    }

    async fn wait(&mut self, wait: Duration) {
        tokio::select! {
            () = self.shared.lock.lost().cancelled() => {}
            () = self.shared.lock.leaving().cancelled() => {}
            () = self.queue.answered() => {}
            changed = self.wakers.news.changed() => match changed {
                Ok(()) => self.adopt_news(),
                // Nobody lists records any more: the reign is at its end.
                Err(_closed) => tokio::time::sleep(wait).await,
            },
            () = self.wakers.poke.notified() => self.build.hint(self.shared.app.engine.reads_apart()),
            () = tokio::time::sleep(wait) => {}
        }
    }

    fn adopt_news(&mut self) {
        match &*self.wakers.news.borrow_and_update() {
            Some(newer) if newer.index > self.stored.index => self.stored = newer.clone(),
            Some(_) => {}
            // The list may be older than what is known here.
            None => self.stale = true,
        }
    }

    /// Settles what is being sent, so that the next follower need not wait for it.
    async fn leave(&mut self) {
        if !self.queue.is_sending() {
            return;
        }
        let answered = tokio::time::timeout(SETTLE_WITHIN, self.queue.answered()).await;
        let settled = answered.is_ok() && self.settle().await.is_ok();
        let is_over = matches!(self.stored.value.phase, Phase::Ended { .. }) && self.queue.is_done();
        if !settled || (is_over && self.finish().await.is_err()) {
            tracing::info!(claim = self.claim.as_str(), "a status was left to the next follower");
        }
    }

    async fn step(&mut self) -> Result<Next, Halt> {
        self.settle().await?;
        if self.stale && !self.reread().await? {
            return Ok(Next::Over);
        }
        if self.stop_with_parent().await? {
            return Ok(Next::Again);
        }
        match self.stored.value.phase {
            Phase::Held => self.held().await,
            Phase::Waiting => self.waiting().await,
            Phase::Claimed => self.claimed().await,
            Phase::Dispatched => self.building().await,
            Phase::Ended { .. } => self.ended().await,
        }
    }

    pub(super) fn orphan(&self) -> &Orphan {
        &self.wakers.orphan
    }

    pub(super) fn turn(&self) -> &Turn {
        &self.wakers.turn
    }

    /// Reads the record; false when it is gone.
    pub(super) async fn reread(&mut self) -> Result<bool, Halt> {
        let Some(stored) = self.shared.app.registry.open(&self.claim).await? else { return Ok(false) };
        self.stored = stored;
        self.stale = false;
        Ok(true)
    }

    /// The record is to be read before the next decision.
    pub(super) fn doubt(&mut self) {
        self.stale = true;
    }

    /// Writes the record as the follower. False when somebody else has changed it: decide anew.
    pub(super) async fn write(&mut self, record: Record) -> Result<bool, Halt> {
        // Until the answer is known, what is stored is not.
        self.stale = true;
        let lease = Some(&self.shared.lock.lease);
        match self.shared.app.registry.update(&self.claim, &record, self.stored.index, lease).await? {
            Written::Yes(index) => {
                self.stored = Stored { value: record, index };
                self.stale = false;
                Ok(true)
            }
            Written::Conflict => Ok(false),
            Written::LeaseLost => Err(Halt::LeaseLost),
        }
    }

    /// Writes `ended`, together with the intent of the final status where no older post is under way.
    pub(super) async fn end(&mut self, outcome: Outcome, times: Times) -> Result<Next, Halt> {
        let mut record = self.stored.value.clone();
        let word = outcome.word();
        record.phase = Phase::Ended { outcome };
        let times = times.by_our_clock(record.started, record.created, Timestamp::now());
        record.placed = self.build.placed(&record);
        record.started = times.started;
        record.finished = times.finished;
        if !self.queue.is_sending() && !self.has_no_status() {
            record.statuses.intended = Some(status_of(&record, None));
            record.statuses.given_up = None;
        }
        if self.write(record).await? {
            let (record, claim) = (&self.stored.value, self.claim.as_str());
            let build = record.build.as_ref().map(tracing::field::display);
            tracing::info!(claim, repo = record.canonical, build, outcome = word, "ended");
        }
        Ok(Next::Again)
    }
}
