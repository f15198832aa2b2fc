//! What changes of any build, for all who read the events of a list: told once, and only as long as somebody reads.
//!
//! A reader's id is the index up to which nothing is missing, which lags behind what it is told by the few seconds that
//! [`Ended`](crate::dispatcher::ended::Ended) may. So who comes back is told some things twice, and nothing never.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{broadcast, watch};

use super::frame;
use crate::dispatcher::changes::Changes;
use crate::dispatcher::known::OpenList;
use crate::dispatcher::view::BuildView;
use crate::dispatcher::waits::Waits;
use crate::dispatcher::{App, SharedApp};
use crate::domain::id::ClaimId;
use crate::registry::{Found, Index, RegistryError};

/// What a slow reader may be behind by; then it is told what is newer than the last that it got, as if it came back.
const BEHIND_MOST: usize = 512;
/// What ends while nobody sees it open is looked for so often.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// After a read that failed.
const AGAIN: Duration = Duration::from_secs(2);

/// How a build stands now, in words that all readers share.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) index: Index,
    pub(super) view: BuildView,
    /// Its state before, where that is known: a list that showed it must hear that it does no longer.
    pub(super) was: Option<&'static str>,
    /// The event, without an id.
    pub(super) event: Bytes,
}

/// What readers are told.
#[derive(Debug, Clone)]
pub(super) enum News {
    Changed(Arc<Change>),
    /// Up to here nothing is missing.
    Whole(Index),
    /// The registry was restored: everything is to be told again.
    Anew,
}

/// Up to where the feed is.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    pub(super) open: Arc<OpenList>,
    pub(super) whole: Index,
}

/// The feed of all changes.
#[derive(Debug)]
pub(super) struct Feed {
    news: broadcast::Sender<News>,
    stand: watch::Sender<Option<Stand>>,
    is_running: Mutex<bool>,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            news: broadcast::Sender::new(BEHIND_MOST),
            stand: watch::Sender::new(None),
            is_running: Mutex::new(false),
        }
    }
}

impl Feed {
    fn running(&self) -> MutexGuard<'_, bool> {
        self.is_running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told from now on.
    pub(super) fn listen(app: &SharedApp) -> broadcast::Receiver<News> {
        let feed = &app.events.feed;
        let mut running = feed.running();
        let receiver = feed.news.subscribe();
        if !*running {
            *running = true;
            tokio::spawn(run(SharedApp::clone(app)));
        }
        receiver
    }

    /// Where it stands, once that has been read.
    pub(super) async fn stand(&self) -> Option<Stand> {
        self.stand.subscribe().wait_for(Option::is_some).await.ok()?.clone()
    }

    /// Whether nobody listens any more; then what it knew is forgotten.
    fn is_left(&self, app: &App) -> bool {
        let mut running = self.running();
        if self.news.receiver_count() == 0 {
            *running = false;
            self.stand.send_replace(None);
            app.known.ended().leave_fresh();
        }
        !*running
    }
}

/// Open changes with what was last told of them.
#[derive(Debug, Default)]
struct Last {
    open: HashMap<ClaimId, (Index, &'static str)>,
    /// Whether it has been told where it stands.
    has_begun: bool,
}

async fn run(app: SharedApp) {
    let mut changes = Changes::watch(&app);
    let mut last = Last::default();
    while !app.events.feed.is_left(&app) {
        let newest = changes.borrow_and_update().clone();
        let mut pause = LOOK_EVERY;
        if let Some(open) = newest
            && let Err(error) = turn(&app, &open, &mut last).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "what has changed could not be read");
            pause = AGAIN;
        }
        tokio::select! {
            () = app.shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Tells what is new in a list of open changes, and what has ended.
async fn turn(app: &App, open: &Arc<OpenList>, last: &mut Last) -> Result<(), RegistryError> {
    let feed = &app.events.feed;
    let is_first = !last.has_begun;
    if is_first {
        app.known.ended().take_fresh();
    }
    let is_whole = app.known.keep_up(app, open).await?;
    // Who comes first waits until it is clear from where on nothing is missing.
    if is_first && !is_whole {
        return Ok(());
    }
    let entries = app.registry.entries().await?;
    let fresh = app.known.ended().take_fresh();
    // Not by the index of the open ones: that goes back too when Consul forgets what was deleted.
    let is_anew = !is_first && fresh.is_anew;
    let mut new = open_changes(app, open, &entries, last, is_first || is_anew);
    for row in &fresh.rows {
        let Some((claim, done)) = row.shown() else { continue };
        let was = last.open.get(&claim).map(|(_, state)| *state);
        new.push(Change::of(row.index(), BuildView::of_done(app, &claim, &done), was));
    }
    let now: HashSet<&ClaimId> = open.iter().map(|(claim, _)| claim).collect();
    last.open.retain(|claim, _| now.contains(claim));
    last.has_begun = true;
    let before = feed.stand.borrow().as_ref().map(|stand| stand.whole);
    let whole = before.map_or(open.index, |before| whole(before, open.index, is_whole, is_anew));
    feed.stand.send_replace(Some(Stand { open: Arc::clone(open), whole }));
    // Nobody listens: nothing is lost.
    if is_anew {
        let _ = feed.news.send(News::Anew);
        return Ok(());
    }
    if is_first {
        return Ok(());
    }
    new.sort_by_key(|change| change.index);
    for change in new {
        let _ = feed.news.send(News::Changed(Arc::new(change)));
    }
    if Some(whole) != before {
        let _ = feed.news.send(News::Whole(whole));
    }
    Ok(())
}

/// Up to where nothing is missing. It goes back only where the registry was restored.
fn whole(before: Index, open: Index, is_whole: bool, is_anew: bool) -> Index {
    match (is_anew, is_whole) {
        (true, _) => before.min(open),
        (false, true) => before.max(open),
        (false, false) => before,
    }
}

/// The open changes that are another than they were, or `silently` none, with what is remembered of them.
fn open_changes(app: &App, open: &OpenList, entries: &[Found], last: &mut Last, silently: bool) -> Vec<Change> {
    let begun = Instant::now();
    let mut waits = None;
    let mut new = Vec::new();
    for (claim, stored) in open.iter() {
        let was = last.open.get(claim).copied();
        // A list of ended ones may be newer than this one of open ones: the end is not taken back.
        let is_over = || app.known.ended().table().is_newer(claim, stored.index);
        if was.is_some_and(|(index, _)| index == stored.index) || is_over() {
            continue;
        }
        let waits = waits.get_or_insert_with(|| Waits::of(open, entries));
        let verdict = waits.glance(claim, &stored.value);
        let view = BuildView::of_record(app, claim, &stored.value, &verdict);
        last.open.insert(claim.clone(), (stored.index, view.state));
        if !silently {
            new.push(Change::of(stored.index, view, was.map(|(_, state)| state)));
        }
    }
    tracing::trace!(new = new.len(), took_us = begun.elapsed().as_micros(), "open changes compared");
    new
}

impl Change {
    pub(super) fn of(index: Index, view: BuildView, was: Option<&'static str>) -> Self {
        let event = frame::rest("build", &view);
        Self { index, view, was, event }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn up_to_where_nothing_is_missing_goes_back_only_after_a_restore() {
        let told = |before, open, is_whole, is_anew| whole(Index(before), Index(open), is_whole, is_anew).0;
        assert_eq!(told(7, 9, true, false), 9);
        assert_eq!(told(7, 9, false, false), 7);
        assert_eq!(told(9, 4, true, false), 9, "what was deleted has been forgotten");
        assert_eq!(told(9, 4, true, true), 4);
    }
}
