//! Before there is a build: changes that are held, and changes that are to be dispatched.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::course::{Course, Halt, LOOK_AGAIN, Next};
use super::decide::Decided;
use super::queue::Progress;
use crate::dispatcher::dispatch::{self, AdvanceError, Advanced};
use crate::domain::config::RepoConfig;
use crate::domain::outcome::Outcome;
use crate::domain::record::Stop;
use crate::domain::status::status_of;
use crate::domain::times::Times;
use crate::engine::EngineError;
use crate::registry::Entry;

/// Held changes that nobody approves end after this.
const HELD_FOR: SignedDuration = SignedDuration::from_hours(30 * 24);
/// What is held and not touched is looked at again after this.
const HELD_LOOK: Duration = Duration::from_secs(3_600);
/// Who took the claim dispatches it himself; the follower only takes over what he left.
const LEFT_ALONE_FOR: Duration = Duration::from_secs(2);
/// A change that was cancelled while it may just be being dispatched is looked for at the engine after this.
const DISPATCHED_BY_THEN: Duration = Duration::from_secs(10);
/// What could not be dispatched for so long is not what anybody waits for any more.
const DISPATCH_WITHIN: Duration = Duration::from_secs(3_600);

/// What is known of the repository's entry.
pub(super) enum Configured {
    Yes(Box<RepoConfig>),
    No,
    NotNow(String),
}

impl Course {
    /// Waits for `approve`, a newer push, the end of the pull request, or its time.
    pub(super) async fn held(&mut self) -> Result<Next, Halt> {
        let record = &self.stored.value;
        if record.stop.is_some() {
            return self.end(Outcome::of_stop(record.stop.as_ref()), Times::default()).await;
        }
        self.turn().take_back();
        let left = HELD_FOR - Timestamp::now().duration_since(record.created);
        if left.is_negative() {
            let by = "Albatros: not approved for 30 days".to_owned();
            return self.end(Outcome::Cancelled { by }, Times::default()).await;
        }
        // What would not be built needs nobody's approval either.
        let again = match self.decide().await? {
            Decided::Go => HELD_LOOK,
            Decided::Later(wait) => wait,
            Decided::Otherwise(next) => return Ok(next),
        };
        let progress = self.report(status_of(&self.stored.value, None)).await?;
        let left = Duration::try_from(left).unwrap_or_default();
        Ok(come_back(progress, left.min(again)))
    }

    /// Dispatches what the replica that took the claim did not.
    pub(super) async fn claimed(&mut self) -> Result<Next, Halt> {
        if let Some(stop) = self.stored.value.stop.clone() {
            return self.stopped_before_dispatch(&stop).await;
        }
        let age = self.claimed_for();
        if age < LEFT_ALONE_FOR && !self.dispatch_at_once {
            return Ok(Next::In(LEFT_ALONE_FOR - age));
        }
        let progress = self.report(status_of(&self.stored.value, None)).await?;
        if progress == Progress::Changed {
            return Ok(Next::Again);
        }
        let wait = self.dispatch_after.map(|at| at.saturating_duration_since(Instant::now())).unwrap_or_default();
        if !wait.is_zero() {
            return Ok(come_back(progress, wait));
        }
        if age > DISPATCH_WITHIN {
            let reason = "it could not be dispatched within an hour: retry".to_owned();
            return self.end_without_child(Outcome::Infra { reason }).await;
        }
        self.dispatch().await
    }

    /// How long it has been to be dispatched: by its own time, or by ours where its writer's clock is ahead.
    fn claimed_for(&mut self) -> Duration {
        let record = &self.stored.value;
        let since = record.let_through.or(record.approved).unwrap_or(record.created);
        let age = Timestamp::now().duration_since(since);
        let seen = *self.claimed_since.get_or_insert_with(Instant::now);
        Duration::try_from(age).unwrap_or_default().max(seen.elapsed())
    }

    async fn dispatch(&mut self) -> Result<Next, Halt> {
        let config = match self.configured().await? {
            Configured::Yes(config) => config,
            Configured::No => {
                let reason = "the repository is no longer configured".to_owned();
                return self.end_without_child(Outcome::Infra { reason }).await;
            }
            Configured::NotNow(reason) => return Ok(self.dispatch_later(&reason)),
        };
        let turns = std::sync::Arc::clone(&self.shared.engine_turns);
        let Ok(_turn) = turns.acquire().await else { return Ok(Next::In(LOOK_AGAIN)) };
        // Another may have ended this change while this process was stopped.
        if !self.shared.lock.is_proven(&self.shared.app.registry).await {
            return Ok(self.dispatch_later("the lock's last proof is too old"));
        }
        match dispatch::advance(&self.shared.app, &self.claim, self.stored.clone(), &config).await {
            Ok(Advanced::Dispatched(_) | Advanced::Elsewhere(_) | Advanced::Gone) => {
                self.doubt();
                Ok(Next::Again)
            }
            Err(AdvanceError::Permanent(reason)) => self.end_without_child(Outcome::Infra { reason }).await,
            Err(AdvanceError::NotOurs(reason)) => self.end(Outcome::Infra { reason }, Times::default()).await,
            Err(AdvanceError::Passing(error)) => {
                self.doubt();
                let claim = self.claim.as_str();
                tracing::warn!(claim, error = &*error as &dyn std::error::Error, "not dispatched; it is tried again");
                Ok(self.dispatch_later("the engine or the forge did not answer"))
            }
        }
    }

    fn dispatch_later(&mut self, reason: &str) -> Next {
        let wait = self.dispatch_backoff.wait();
        tracing::debug!(claim = self.claim.as_str(), reason, "the dispatch waits");
        self.dispatch_after = Some(Instant::now() + wait);
        Next::In(wait)
    }

    pub(super) async fn configured(&self) -> Result<Configured, Halt> {
        let Ok(url) = self.stored.value.repo.parse() else { return Ok(Configured::No) };
        Ok(match self.shared.app.registry.entry_now(&url).await? {
            Entry::Found(found) => Configured::Yes(Box::new(found.config)),
            Entry::Unknown => Configured::No,
            Entry::Broken(reason) => Configured::NotNow(reason),
        })
    }

    /// Cancelled before a build was recorded. One may exist all the same, or be being dispatched at this moment.
    async fn stopped_before_dispatch(&mut self, stop: &Stop) -> Result<Next, Halt> {
        let stopped = Duration::try_from(Timestamp::now().duration_since(stop.at)).unwrap_or_default();
        let waited = stopped.max(self.stop_seen.get_or_insert_with(Instant::now).elapsed());
        if waited < DISPATCHED_BY_THEN {
            return Ok(Next::In(DISPATCHED_BY_THEN - waited));
        }
        self.end_without_child(Outcome::of_stop(Some(stop))).await
    }

    /// Ends a change as `outcome`, but only if no child of the builder has its token: such a one is adopted.
    async fn end_without_child(&mut self, outcome: Outcome) -> Result<Next, Halt> {
        let record = &self.stored.value;
        let since = i64::try_from(record.created.as_nanosecond()).unwrap_or_default();
        let turns = std::sync::Arc::clone(&self.shared.engine_turns);
        let Ok(_turn) = turns.acquire().await else { return Ok(Next::In(LOOK_AGAIN)) };
        let found = match self.shared.app.engine.find(&record.builder, &self.claim, since).await {
            Ok(found) => found,
            // No builder has no children, and what may not be read could not be dispatched either.
            Err(EngineError::Unknown(_) | EngineError::Refused(_)) => None,
            Err(error @ EngineError::Unavailable(_)) => {
                tracing::warn!(
                    claim = self.claim.as_str(),
                    error = &error as &dyn std::error::Error,
                    "the engine could not be asked for a build with this token"
                );
                return Ok(self.dispatch_later("the engine does not answer"));
            }
        };
        let Some(build) = found else { return self.end(outcome, Times::default()).await };
        match dispatch::adopt(&self.shared.app, &self.claim, self.stored.clone(), &build).await {
            Ok(_adopted) => {
                self.doubt();
                Ok(Next::Again)
            }
            Err(AdvanceError::Permanent(reason) | AdvanceError::NotOurs(reason)) => {
                self.end(Outcome::Infra { reason }, Times::default()).await
            }
            Err(AdvanceError::Passing(_)) => Ok(self.dispatch_later("the engine does not answer")),
        }
    }
}

/// When to look again, by how far the status is.
pub(super) fn come_back(progress: Progress, otherwise: Duration) -> Next {
    match progress {
        Progress::Settled | Progress::Sending => Next::In(otherwise),
        Progress::Later(left) => Next::In(left.min(otherwise)),
        Progress::Changed => Next::Again,
    }
}
