//! One change as it goes on, for all who read its events: followed once, and only as long as somebody reads.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::frame;
use crate::dispatcher::changes::Changes;
use crate::dispatcher::known::OpenList;
use crate::dispatcher::view::BuildView;
use crate::dispatcher::waits::Waits;
use crate::dispatcher::{App, SharedApp};
use crate::domain::id::ClaimId;
use crate::domain::record::{Done, Phase, Record};
use crate::registry::{Index, RegistryError, Stored};

/// After a read that failed.
const AGAIN: Duration = Duration::from_secs(2);

/// How a change stands, in words that all readers share.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) index: Index,
    pub(super) event: Bytes,
    pub(super) is_last: bool,
    /// The same index may come with other words: its place in a line.
    pub(super) is_waiting: bool,
    pub(super) private: bool,
    pub(super) repo: String,
}

/// What a reader is told next.
#[derive(Debug, Clone)]
pub(super) enum State {
    /// Not read yet.
    Unknown,
    Told(Arc<Told>),
    /// Neither open nor ended any more: it never had a build, and may be delivered again.
    Gone,
}

/// The changes that are followed.
#[derive(Debug, Default)]
pub(super) struct Follows(Mutex<HashMap<ClaimId, watch::Sender<State>>>);

impl Follows {
    fn all(&self) -> MutexGuard<'_, HashMap<ClaimId, watch::Sender<State>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a change stands and will, until the receiver is dropped.
    pub(super) fn watch(app: &SharedApp, claim: &ClaimId) -> watch::Receiver<State> {
        let mut all = app.events.follows.all();
        if let Some(followed) = all.get(claim) {
            return followed.subscribe();
        }
        let (sender, receiver) = watch::channel(State::Unknown);
        all.insert(claim.clone(), sender.clone());
        drop(all);
        tokio::spawn(follow(SharedApp::clone(app), claim.clone(), sender));
        receiver
    }

    /// Whether nobody reads any more; then it is not followed any more either.
    fn is_left(&self, claim: &ClaimId, sender: &watch::Sender<State>) -> bool {
        let mut all = self.all();
        let is_left = sender.receiver_count() == 0;
        if is_left {
            all.remove(claim);
        }
        is_left
    }
}

async fn follow(app: SharedApp, claim: ClaimId, sender: watch::Sender<State>) {
    let mut changes = Changes::watch(&app);
    loop {
        let newest = changes.borrow_and_update().clone();
        let mut is_late = false;
        if let Some(open) = newest {
            match state(&app, &claim, &open).await {
                Ok(state) => {
                    let is_over = match &state {
                        State::Unknown => false,
                        State::Told(told) => told.is_last,
                        State::Gone => true,
                    };
                    sender.send_if_modified(|before| replace(before, state));
                    if is_over {
                        // Whoever comes now follows anew, and is told the same.
                        app.events.follows.all().remove(&claim);
                        return;
                    }
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(%claim, error, "a change that is followed could not be read");
                    is_late = true;
                }
            }
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            () = sender.closed() => {}
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(AGAIN), if is_late => changes.mark_changed(),
        }
        if app.events.follows.is_left(&claim, &sender) {
            return;
        }
    }
}

/// Wakes readers only for what they have not been told.
fn replace(before: &mut State, now: State) -> bool {
    let is_same = match (&*before, &now) {
        (State::Told(before), State::Told(now)) => before.event == now.event,
        (State::Unknown | State::Told(_) | State::Gone, _) => false,
    };
    if !is_same {
        *before = now;
    }
    !is_same
}

async fn state(app: &App, claim: &ClaimId, open: &OpenList) -> Result<State, RegistryError> {
    if let Some((_, stored)) = open.iter().find(|(other, _)| other == claim) {
        return Ok(State::Told(Arc::new(of_open(app, claim, stored, open).await?)));
    }
    truth(app, claim).await
}

/// How it stands by reads of its own: it is over, or younger than the list.
pub(super) async fn truth(app: &App, claim: &ClaimId) -> Result<State, RegistryError> {
    // `open/` first: a change moves from there to `done/` in one step.
    if let Some(stored) = app.registry.open(claim).await? {
        return Ok(State::Told(Arc::new(of_open(app, claim, &stored, &OpenList::default()).await?)));
    }
    let ended = app.registry.ended(claim).await?;
    Ok(ended.map_or(State::Gone, |stored| State::Told(Arc::new(of_done(app, claim, &stored.value, stored.index)))))
}

async fn of_open(app: &App, claim: &ClaimId, stored: &Stored<Record>, open: &OpenList) -> Result<Told, RegistryError> {
    let record = &stored.value;
    let is_waiting = matches!(record.phase, Phase::Waiting);
    let verdict = if is_waiting {
        Waits::of(open, &app.registry.entries().await?).glance(claim, record)
    } else {
        BuildView::glance(record)
    };
    let view = BuildView::of_record(app, claim, record, &verdict);
    Ok(Told { is_waiting, ..told(stored.index, &view) })
}

/// The last words of a change.
pub(super) fn of_done(app: &App, claim: &ClaimId, done: &Done, index: Index) -> Told {
    told(index, &BuildView::of_done(app, claim, done))
}

fn told(index: Index, view: &BuildView) -> Told {
    Told {
        index,
        event: frame::event(index, "build", view),
        is_last: view.ended,
        is_waiting: false,
        private: view.private,
        repo: view.repo.clone().unwrap_or_default(),
    }
}
