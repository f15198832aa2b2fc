//! A change that waits for its turn: let through by the follower, and by nobody else.
//!
//! Each waiting change settles by itself whether it is to be built at all, and then says that it is ready; which of the
//! ready ones go on is decided in one place, with the list of all open changes ([`Reign::give_turns`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::course::{Course, Halt, LOOK_AGAIN, Next};
use super::decide::{Decided, TO_BE_SAID};
use super::reign::Reign;
use super::supersede::Measured;
use super::waiting::{Configured, come_back};
use crate::domain::config::RepoConfig;
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::record::{Phase, Record};
use crate::domain::status::status_of;
use crate::domain::times::Times;
use crate::domain::turn::{Lines, Standing, limit_sentence, waits_since};
use crate::registry::Entry;

/// A configuration may take so long to be read; it lies in the memory of this process.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// How a course and who gives the turns tell each other.
#[derive(Debug)]
pub(super) struct Turn {
    state: Mutex<State>,
    /// Wakes who gives the turns.
    asked: Arc<Notify>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    standing: Standing,
    /// The repository's limit, where that is why it waits.
    limit: Option<u32>,
    /// Since when it waited when it said that it was ready: held and approved anew it stands in line anew.
    asked_for: Option<Timestamp>,
}

impl State {
    const NEW: Self = Self { standing: Standing::Deciding, limit: None, asked_for: None };
}

impl Turn {
    pub(super) fn new(asked: Arc<Notify>) -> Self {
        Self { state: Mutex::new(State::NEW), asked }
    }

    /// Changes the state; whether it is another one now. What was granted stays granted.
    fn change(&self, change: impl FnOnce(&mut State)) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *state;
        if before.standing != Standing::Granted {
            change(&mut state);
        }
        *state != before
    }

    fn read(&self) -> State {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, standing: Standing) {
        if self.change(|state| state.standing = standing) {
            self.asked.notify_one();
        }
    }

    /// It could go on, and waits since then; what has been answered to that by now.
    fn ask(&self, since: Timestamp) -> State {
        self.change(|state| state.asked_for = Some(since));
        self.tell(Standing::Ready);
        self.read()
    }

    /// A turn that was asked for before it was held and approved anew is none.
    fn keep_for(&self, since: Timestamp) {
        if self.read().asked_for.is_some_and(|asked_for| asked_for != since) {
            self.take_back();
        }
    }

    /// Whether it was told to go on.
    pub(super) fn is_granted(&self) -> bool {
        self.read().standing == Standing::Granted
    }

    /// Whoever holds the change again takes its turn back: it stands in line anew once it is approved.
    pub(super) fn take_back(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State::NEW;
    }

    fn grant(&self) {
        self.change(|state| state.standing = Standing::Granted);
    }

    /// Whether that is news.
    fn refuse(&self, limit: Option<u32>) -> bool {
        self.change(|state| state.limit = limit)
    }
}

impl Course {
    /// Lets it through once nothing stands in its way.
    pub(super) async fn waiting(&mut self) -> Result<Next, Halt> {
        let record = &self.stored.value;
        if record.stop.is_some() {
            return self.end(Outcome::of_stop(record.stop.as_ref()), Times::default()).await;
        }
        if self.is_job() {
            return self.let_through().await;
        }
        self.turn().keep_for(waits_since(&self.stored.value));
        if self.is_runner() {
            return self.waiting_runner().await;
        }
        match self.decide().await? {
            Decided::Go => {}
            Decided::Later(wait) => return self.stuck(TO_BE_SAID, wait).await,
            Decided::Otherwise(next) => return Ok(next),
        }
        let config = match self.configured_here().await? {
            Configured::Yes(config) => config,
            Configured::No => {
                let reason = "the repository is no longer configured".to_owned();
                return self.end(Outcome::Infra { reason }, Times::default()).await;
            }
            Configured::NotNow(reason) => return self.stuck(&reason, LOOK_AGAIN).await,
        };
        match self.measure(&config).await? {
            Measured::Go => {}
            // Its place is kept: that takes seconds, and the others would be let through out of order.
            Measured::Later(wait) => return Ok(Next::In(wait)),
            Measured::Superseded(by) => return self.end(Outcome::Cancelled { by }, Times::default()).await,
        }
        let left = self.queue_left(Some(&config));
        if left.is_zero() {
            return self.out_of_time(&config).await;
        }
        let state = self.turn().ask(waits_since(&self.stored.value));
        if state.standing == Standing::Granted {
            return self.let_through().await;
        }
        // Most go on at once, and nobody needs to be told that they waited.
        let Some(limit) = state.limit else { return Ok(Next::In(left.min(LOOK_AGAIN))) };
        self.tell_why(limit_sentence(limit), left.min(LOOK_AGAIN)).await
    }

    /// A runner is nobody's change: it waits for its pool alone.
    async fn waiting_runner(&mut self) -> Result<Next, Halt> {
        if let Configured::No = self.configured_here().await? {
            let reason = "runners are no longer configured for it".to_owned();
            return self.end(Outcome::Infra { reason }, Times::default()).await;
        }
        let left = self.queue_left(None);
        if left.is_zero() {
            let reason = "waited for its turn longer than the queue limit".to_owned();
            return self.end(Outcome::Infra { reason }, Times::default()).await;
        }
        let state = self.turn().ask(waits_since(&self.stored.value));
        if state.standing == Standing::Granted {
            return self.let_through().await;
        }
        Ok(Next::In(left.min(LOOK_AGAIN)))
    }

    /// It is not known yet whether it is to be built, and the others need not wait for that.
    async fn stuck(&mut self, reason: &str, wait: Duration) -> Result<Next, Halt> {
        self.turn().tell(Standing::Stuck);
        let left = self.queue_left(None);
        if left.is_zero() {
            let reason = format!("waited longer than the queue limit: {reason}");
            return self.end(Outcome::Infra { reason }, Times::default()).await;
        }
        self.tell_why(reason.to_owned(), wait.min(left)).await
    }

    async fn tell_why(&mut self, reason: String, wait: Duration) -> Result<Next, Halt> {
        let why = Verdict::Open { reason, unknown: false };
        let progress = self.report(status_of(&self.stored.value, Some(&why))).await?;
        Ok(come_back(progress, wait))
    }

    /// From here on it is dispatched like any other, and by this process at once.
    async fn let_through(&mut self) -> Result<Next, Halt> {
        let record = &self.stored.value;
        let record = Record { phase: Phase::Claimed, let_through: Some(Timestamp::now()), ..record.clone() };
        if self.write(record).await? {
            self.dispatch_at_once = true;
            let record = &self.stored.value;
            let waited_s = Timestamp::now().duration_since(waits_since(record)).as_secs();
            tracing::info!(claim = self.claim.as_str(), repo = record.canonical, waited_s, "its turn has come");
        }
        Ok(Next::Again)
    }

    async fn out_of_time(&mut self, config: &RepoConfig) -> Result<Next, Halt> {
        let limit = config.concurrency.queue.map(|limit| format!(" of {limit}")).unwrap_or_default();
        let reason = format!("waited for its turn longer than the queue limit{limit}");
        self.end(Outcome::Infra { reason }, Times::default()).await
    }

    /// What is left of the time that it may wait for its turn and for a node together.
    pub(super) fn queue_left(&self, config: Option<&RepoConfig>) -> Duration {
        let own = config.and_then(|config| config.concurrency.queue).filter(|_| !self.has_no_status());
        let limit = own.map_or(self.shared.app.settings.queue_limit, |limit| limit.get());
        let waited: SignedDuration = Timestamp::now().duration_since(waits_since(&self.stored.value));
        limit.saturating_sub(Duration::try_from(waited).unwrap_or_default())
    }

    /// The configuration from this process's own copy; only where that does not have it the registry is asked.
    async fn configured_here(&self) -> Result<Configured, Halt> {
        let Ok(url) = self.stored.value.repo.parse() else { return Ok(Configured::No) };
        match self.shared.app.registry.entry(&url).await? {
            Entry::Found(found) => Ok(Configured::Yes(Box::new(found.config))),
            Entry::Broken(reason) => Ok(Configured::NotNow(reason)),
            Entry::Unknown => self.configured().await,
        }
    }
}

impl Reign {
    /// Tells those whose turn it is, and those who are ready and have to wait.
    ///
    /// The limit holds at any moment and across a takeover: only the follower lets a change through, its write names
    /// its lease, so whoever is the follower next sees it in his first list; and what this process has granted counts
    /// until the list shows what became of it.
    pub(super) async fn give_turns(&self) {
        let lines = Lines::of(self.list().iter().map(|(claim, stored)| (claim, &stored.value)));
        for line in lines.with_waiting() {
            let Ok(url) = line.repo().parse() else { continue };
            let entry = tokio::time::timeout(READ_WITHIN, self.app().registry.entry(&url)).await;
            let max = match entry {
                Ok(Ok(Entry::Found(found))) => match line.pool() {
                    None => found.config.concurrency.max,
                    // Nobody is let through for a pool that is no longer there: its runners end.
                    Some(labels) => {
                        let pool = found.config.runners.iter().find(|pool| pool.has_labels(labels));
                        Some(pool.map_or(0, |pool| pool.max))
                    }
                },
                // The changes themselves say what is wrong with it.
                Ok(Ok(Entry::Unknown | Entry::Broken(_))) => continue,
                Ok(Err(_)) | Err(_) => return,
            };
            // One that has no course yet is as good as stuck: nobody would hear the answer.
            let standing = |claim: &_| self.turn_of(claim).map_or(Standing::Stuck, |(turn, _)| turn.read().standing);
            let turns = line.turns(max, standing);
            for (turn, poke) in turns.go.into_iter().filter_map(|claim| self.turn_of(claim)) {
                turn.grant();
                poke.notify_one();
            }
            for (turn, poke) in turns.wait.into_iter().filter_map(|claim| self.turn_of(claim)) {
                if turn.refuse(max) {
                    poke.notify_one();
                }
            }
        }
    }
}
