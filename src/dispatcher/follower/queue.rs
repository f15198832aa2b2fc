//! The statuses of one build, one after another: the intent is recorded, then posted, then what came of it recorded.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::course::{Course, Halt, Shared};
use super::post::{self, Cause, Post, Sent};
use super::recheck::Recheck;
use crate::dispatcher::metrics::{PostLabel, PostResult, Waiting};
use crate::domain::id::ClaimId;
use crate::domain::record::Record;
use crate::domain::status::{GivenUp, Posted, Status};
use crate::registry::LEASE_TTL;

/// Two pending statuses that differ only in their reason are this far apart: a queue's reasons change all the time.
const SAME_WORD_APART: Duration = Duration::from_secs(60);
/// A final status that no forge has taken for so long is given up.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// How far the queue is with a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing is left to do for it.
    Settled,
    /// Something is being sent; the course is woken by its answer.
    Sending,
    /// To be tried then.
    Later(Duration),
    /// The record has changed under it: decide anew.
    Changed,
}

/// The queue. What must survive this process stands in the record; this is what it knows beside that.
#[derive(Debug)]
pub(super) struct Queue {
    sending: Option<(Status, JoinHandle<Sent>)>,
    answer: Option<(Status, Sent)>,
    backoff: Backoff,
    not_before: Option<Instant>,
    /// A post of another process may still be on its way until then.
    hold_until: Option<Instant>,
    /// An earlier post may have arrived, or may yet: look at what the forge has before posting.
    uncertain: bool,
    /// The forge takes no pending status, or there is none: only the final one is tried.
    silent: bool,
    /// The final status needs nothing more.
    done: bool,
    wants_last: bool,
    last_post: Option<Instant>,
    /// The forge has not been told yet what it is to be told.
    unposted: Option<Waiting>,
}

impl Drop for Queue {
    fn drop(&mut self) {
        if let Some((_, task)) = &self.sending {
            task.abort();
        }
    }
}

impl Queue {
    /// The queue of a record as this process finds it. What was intended and not confirmed may be under way in a
    /// process that is slow to notice that it is no longer the follower.
    pub(super) fn taken_over(posted: &Posted) -> Self {
        let unsettled = posted.intended.is_some() && posted.intended != posted.confirmed && posted.given_up.is_none();
        Self {
            sending: None,
            answer: None,
            backoff: Backoff::new(Duration::from_secs(1), Duration::from_secs(300)),
            not_before: None,
            hold_until: unsettled.then(|| Instant::now() + LEASE_TTL),
            uncertain: posted.intended.is_some(),
            silent: false,
            done: false,
            wants_last: false,
            last_post: None,
            unposted: None,
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some() || self.answer.is_some()
    }

    /// The final status is posted, given up, or has nobody to go to.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Resolves when the post that is under way has been answered; never when there is none.
    pub(super) async fn answered(&mut self) {
        if self.answer.is_some() {
            return;
        }
        let Some((_, task)) = self.sending.as_mut() else { return std::future::pending().await };
        // A task that broke may have sent it.
        let sent = task.await.unwrap_or_else(|error| Sent::Passing(Box::new(error)));
        self.answer = self.sending.take().map(|(status, _)| (status, sent));
    }

    /// A final status that was posted while an older post may still arrive is looked at again later.
    pub(super) fn recheck(&self, shared: &Shared, claim: &ClaimId, record: &Record) -> Option<Recheck> {
        let status = record
            .statuses
            .intended
            .clone()
            .filter(|status| status.last && record.parent.is_none() && record.runner.is_none())?;
        (self.uncertain && self.done).then(|| Recheck::new(shared.clone(), claim.clone(), record.clone(), status))
    }

    fn delay(&self) -> Option<Duration> {
        let left = |until: Option<Instant>| until.map(|until| until.saturating_duration_since(Instant::now()));
        left(self.hold_until).max(left(self.not_before)).filter(|left| !left.is_zero())
    }

    /// A first try of the final status does not wait for the back-off of pending ones.
    fn want(&mut self, status: &Status) {
        if status.last && !self.wants_last {
            self.wants_last = true;
            self.not_before = None;
            self.backoff.reset();
        }
    }

    fn try_later(&mut self) {
        self.not_before = Some(Instant::now() + self.backoff.wait());
    }

    /// Whether a pending status is too much after the last one. The first reason is news.
    fn is_noise(&self, posted: &Posted, wish: &Status) -> bool {
        let word = |status: &Status| status.description.split(':').next().map(str::to_owned);
        let reasoned = |status: &Status| status.description.contains(':');
        let same = posted.confirmed.as_ref().is_some_and(|last| reasoned(last) && word(last) == word(wish));
        same && self.last_post.is_some_and(|at| at.elapsed() < SAME_WORD_APART)
    }
}

impl Course {
    /// Brings the forge to `wish`, one step at a time. A wish that is replaced before it was sent is never sent.
    pub(super) async fn report(&mut self, wish: Status) -> Result<Progress, Halt> {
        if self.has_no_status() {
            self.queue.done |= wish.last;
            return Ok(Progress::Settled);
        }
        let posted = &self.stored.value.statuses;
        if self.queue.is_sending() {
            return Ok(Progress::Sending);
        }
        let intended = posted.intended.as_ref() == Some(&wish);
        let settled = intended && (posted.confirmed.as_ref() == Some(&wish) || posted.given_up.is_some());
        if settled || (!wish.last && (self.queue.silent || self.queue.is_noise(posted, &wish))) {
            self.queue.unposted = None;
            return Ok(Progress::Settled);
        }
        if self.queue.hold_until.is_some() && !post::has_forge(&self.shared, &self.stored.value).await {
            self.no_forge(&wish);
            return Ok(Progress::Settled);
        }
        self.queue.want(&wish);
        self.owe(&wish);
        if let Some(left) = self.queue.delay() {
            return Ok(Progress::Later(left));
        }
        if !intended {
            let mut record = self.stored.value.clone();
            record.statuses.intended = Some(wish.clone());
            record.statuses.given_up = None;
            if !self.write(record).await? {
                return Ok(Progress::Changed);
            }
        }
        let post = Post {
            shared: self.shared.clone(),
            claim: self.claim.clone(),
            record: self.stored.value.clone(),
            status: wish.clone(),
            look_first: self.queue.uncertain,
        };
        self.queue.sending = Some((wish, tokio::spawn(post::send(post))));
        Ok(Progress::Sending)
    }

    /// Has the metrics tell for how long the forge does not know. What is private is not counted.
    fn owe(&mut self, wish: &Status) {
        if self.stored.value.private {
            return;
        }
        let ended = self.stored.value.finished.filter(|_| wish.last);
        let unposted = &self.shared.app.metrics.unposted;
        self.queue.unposted.get_or_insert_with(|| unposted.begin(ended.unwrap_or_else(Timestamp::now)));
    }

    /// Records what came of the last post, if it has been answered.
    pub(super) async fn settle(&mut self) -> Result<(), Halt> {
        let Some((status, sent)) = self.queue.answer.take() else { return Ok(()) };
        if !matches!(sent, Sent::Passing(_) | Sent::LockOld) {
            self.queue.unposted = None;
        }
        match sent {
            Sent::Confirmed => self.confirmed(status).await,
            Sent::Refused(why) => self.refused(&status, why).await,
            Sent::Passing(error) => self.passing(&status, error).await,
            Sent::NoForge => {
                self.no_forge(&status);
                Ok(())
            }
            Sent::LockOld => {
                self.queue.try_later();
                Ok(())
            }
        }
    }

    fn no_forge(&mut self, status: &Status) {
        self.queue.silent = true;
        self.queue.done |= status.last;
    }

    fn count(&self, result: PostResult) {
        self.shared.app.metrics.statuses.get_or_create(&PostLabel { result }).inc();
    }

    async fn confirmed(&mut self, status: Status) -> Result<(), Halt> {
        self.count(PostResult::Posted);
        self.queue.backoff.reset();
        self.queue.not_before = None;
        self.queue.last_post = Some(Instant::now());
        if status.last {
            // The record moves to `done/` next; a crash before that makes the successor look at the forge first.
            self.queue.done = true;
            return Ok(());
        }
        let recorded = self.amend(|posted| posted.confirmed = Some(status.clone())).await;
        // It has arrived, but the record does not say so: look before it is posted again.
        self.queue.uncertain |= recorded.is_err();
        recorded
    }

    async fn refused(&mut self, status: &Status, why: String) -> Result<(), Halt> {
        self.count(PostResult::GivenUp);
        let (claim, repo) = (self.claim.as_str(), self.stored.value.canonical.as_str());
        tracing::error!(claim, repo, why, last = status.last, "the forge refuses a status for good; it is given up");
        if !status.last {
            self.queue.silent = true;
            return Ok(());
        }
        self.queue.done = true;
        let given_up = GivenUp { at: Timestamp::now(), why };
        self.amend(|posted| posted.given_up = Some(given_up.clone())).await
    }

    async fn passing(&mut self, status: &Status, error: Cause) -> Result<(), Halt> {
        let claim = self.claim.as_str();
        let since = self.stored.value.finished.unwrap_or(self.stored.value.created);
        if status.last && Timestamp::now().duration_since(since) > GIVE_UP_AFTER {
            return self.refused(status, "no forge took it for a day".to_owned()).await;
        }
        self.count(PostResult::Retried);
        self.queue.try_later();
        // What says that it failed may be a proxy before a forge that has taken it.
        self.queue.uncertain = true;
        let error = &*error as &dyn std::error::Error;
        tracing::warn!(claim, error, last = status.last, "a status could not be posted; it is tried again");
        Ok(())
    }

    /// Changes what the record says of its statuses, whatever others change in it meanwhile.
    async fn amend(&mut self, change: impl Fn(&mut Posted)) -> Result<(), Halt> {
        loop {
            let mut record = self.stored.value.clone();
            change(&mut record.statuses);
            if self.write(record).await? || !self.reread().await? {
                return Ok(());
            }
        }
    }
}
