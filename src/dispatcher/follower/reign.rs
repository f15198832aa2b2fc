//! As long as the lock is held: one course for each open record, woken by the list, by hints and by time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::child::{Orphan, may_have_jobs};
use super::course::{Course, LOOK_AGAIN, News, Shared, Wakers};
use super::expiry;
use super::lock::Lock;
use super::recheck::Recheck;
use super::runners::{self, Listed};
use super::turn::Turn;
use crate::dispatcher::SharedApp;
use crate::dispatcher::blobs::retention;
use crate::dispatcher::history;
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::record::Record;
use crate::engine::Hint;
use crate::registry::{Index, Registry, Stored};

/// Records followed at once; the others wait for one of these to end.
const MOST_COURSES: usize = 4096;
/// Reads and dispatches at the engine at once.
const ENGINE_TURNS: usize = 16;
/// A changed limit is noticed within this.
const TURNS_AGAIN: Duration = Duration::from_secs(5);
/// Final statuses looked at again at once; beyond it the oldest worry is not worth the memory.
const MOST_RECHECKS: usize = 1024;
/// How long one listing waits for a change.
const LIST_WAIT: Duration = Duration::from_secs(55);
/// Every write of ours changes the list: many builds at once would have it read without a pause.
const LISTS_APART: Duration = Duration::from_millis(50);
/// How long courses may take to settle what they are sending when this process ends.
const LEAVE_WITHIN: Duration = Duration::from_secs(4);
/// A stream of hints that ended is opened again after this.
const HINTS_AGAIN: Duration = Duration::from_secs(5);

type List = Vec<(ClaimId, Stored<Record>)>;

#[derive(Debug)]
struct Followed {
    news: watch::Sender<News>,
    poke: Arc<Notify>,
    orphan: Arc<Orphan>,
    turn: Arc<Turn>,
    build: Option<BuildId>,
}

/// The follower at work. Dropping it ends all of its courses where they stand.
#[derive(Debug)]
pub(super) struct Reign {
    shared: Shared,
    followed: HashMap<ClaimId, Followed>,
    courses: JoinSet<(ClaimId, Option<Recheck>)>,
    rechecks: JoinSet<()>,
    /// The newest list, kept for what found no room.
    list: List,
    /// Notified by those who wait and could go on.
    asked: Arc<Notify>,
}

impl Reign {
    pub(super) fn new(app: SharedApp, lock: Arc<Lock>) -> Self {
        let engine_turns = Arc::new(Semaphore::new(ENGINE_TURNS));
        let shared = Shared { app, lock, engine_turns, forges: Arc::default() };
        Self {
            shared,
            followed: HashMap::new(),
            courses: JoinSet::new(),
            rechecks: JoinSet::new(),
            list: List::new(),
            asked: Arc::default(),
        }
    }

    pub(super) fn app(&self) -> &SharedApp {
        &self.shared.app
    }

    pub(super) fn list(&self) -> &[(ClaimId, Stored<Record>)] {
        &self.list
    }

    /// How a waiting change is told whether it is its turn, and woken.
    pub(super) fn turn_of(&self, claim: &ClaimId) -> Option<(&Turn, &Notify)> {
        self.followed.get(claim).map(|followed| (&*followed.turn, &*followed.poke))
    }

    /// Until the lock is lost or `shutdown` comes.
    pub(super) async fn hold(mut self, shutdown: &CancellationToken) {
        let mut beside = JoinSet::new();
        let (list_to, mut lists) = mpsc::channel(1);
        let (hint_to, mut hints) = mpsc::channel(256);
        let (app, lock) = (SharedApp::clone(&self.shared.app), Arc::clone(&self.shared.lock));
        beside.spawn(keep_listing(SharedApp::clone(&app), list_to));
        beside.spawn(keep_hinting(SharedApp::clone(&app), hint_to));
        beside.spawn(expiry::keep_expiring(SharedApp::clone(&app), Arc::clone(&lock)));
        beside.spawn(history::keep_later(SharedApp::clone(&app)));
        let (told, heard) = watch::channel(Listed::default());
        beside.spawn(runners::keep_looking(SharedApp::clone(&app), Arc::clone(&lock), heard));
        beside.spawn(retention::keep_within(SharedApp::clone(&app)));
        beside.spawn(async move { lock.keep(&app.registry).await });
        let lost = self.shared.lock.lost().clone();
        let mut look_again = tokio::time::interval(LOOK_AGAIN);
        look_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turns_again = tokio::time::interval(TURNS_AGAIN);
        turns_again.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let asked = Arc::clone(&self.asked);
        loop {
            tokio::select! {
                () = lost.cancelled() => return,
                () = shutdown.cancelled() => break,
                Some(list) = lists.recv() => {
                    self.list = list;
                    self.sync();
                    told.send_replace(self.runners());
                    self.give_turns().await;
                }
                () = asked.notified() => self.give_turns().await,
                _ = turns_again.tick() => self.give_turns().await,
                Some(hint) = hints.recv() => self.wake(&hint),
                _ = look_again.tick() => self.wake(&Hint::All),
                Some(ended) = self.courses.join_next() => self.ended(ended),
                Some(_) = self.rechecks.join_next() => {}
            }
        }
        self.leave().await;
    }

    /// The runners among the open records.
    fn runners(&self) -> Listed {
        let runners = self.list.iter().filter(|(_, stored)| stored.value.runner.is_some());
        Arc::new(runners.map(|(claim, stored)| (claim.clone(), stored.value.clone())).collect())
    }

    /// Starts what is new, tells what has changed, and what is gone.
    fn sync(&mut self) {
        self.shared.app.metrics.set_runners(self.list.iter().map(|(_, stored)| &stored.value));
        self.shared.app.metrics.open.set(self.list.iter().map(|(_, stored)| &stored.value));
        let listed: std::collections::HashSet<&ClaimId> = self.list.iter().map(|(claim, _)| claim).collect();
        for (claim, followed) in &self.followed {
            if !listed.contains(claim) {
                followed.news.send_replace(None);
            }
        }
        let runs: std::collections::HashSet<&ClaimId> =
            self.list.iter().filter(|(_, stored)| may_have_jobs(&stored.value)).map(|(claim, _)| claim).collect();
        for (claim, stored) in &self.list {
            let orphaned = stored.value.parent.as_ref().is_some_and(|parent| !runs.contains(&parent.claim));
            if let Some(followed) = self.followed.get_mut(claim) {
                if followed.orphan.tell(orphaned) {
                    followed.poke.notify_one();
                }
                followed.build.clone_from(&stored.value.build);
                let is_news = |known: &News| known.as_ref().is_none_or(|known| known.index != stored.index);
                let changed = is_news(&followed.news.borrow());
                if changed {
                    followed.news.send_replace(Some(stored.clone()));
                }
            } else if self.followed.len() < MOST_COURSES {
                let (news, poke) = (watch::Sender::new(Some(stored.clone())), Arc::new(Notify::new()));
                let orphan = Arc::new(Orphan::default());
                orphan.tell(orphaned);
                let (news_of, poke_of, orphan_of) = (news.subscribe(), Arc::clone(&poke), Arc::clone(&orphan));
                let turn = Arc::new(Turn::new(Arc::clone(&self.asked)));
                let wakers = Wakers { news: news_of, poke: poke_of, orphan: orphan_of, turn: Arc::clone(&turn) };
                let course = Course::new(self.shared.clone(), claim.clone(), stored.clone(), wakers);
                let name = claim.clone();
                self.courses.spawn(async move { (name, course.follow().await) });
                let build = stored.value.build.clone();
                self.followed.insert(claim.clone(), Followed { news, poke, orphan, turn, build });
            }
        }
    }

    fn wake(&self, hint: &Hint) {
        for followed in self.followed.values() {
            let meant = match hint {
                Hint::All => true,
                Hint::Build(build) => followed.build.as_ref() == Some(build),
            };
            if meant {
                followed.poke.notify_one();
            }
        }
    }

    fn ended(&mut self, ended: Result<(ClaimId, Option<Recheck>), tokio::task::JoinError>) {
        let (claim, recheck) = match ended {
            Ok(ended) => ended,
            Err(error) => {
                // Which one is not known, so all that have no course any more are found by the next list.
                tracing::error!(%error, "a course broke");
                self.followed.retain(|_, followed| followed.news.receiver_count() > 0);
                return;
            }
        };
        self.followed.remove(&claim);
        self.list.retain(|(listed, _)| *listed != claim);
        if let Some(recheck) = recheck.filter(|_| self.rechecks.len() < MOST_RECHECKS) {
            self.rechecks.spawn(recheck.keep_looking());
        }
        self.sync();
    }

    async fn leave(mut self) {
        self.shared.lock.leaving().cancel();
        let all = async { while self.courses.join_next().await.is_some() {} };
        if tokio::time::timeout(LEAVE_WITHIN, all).await.is_err() {
            tracing::info!("statuses under way were left to the next follower");
        }
    }
}

/// Sends the list of open records each time it changes.
async fn keep_listing(app: SharedApp, to: mpsc::Sender<List>) {
    let mut since: Option<Index> = None;
    let mut backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(10));
    loop {
        match list(&app.registry, since).await {
            Ok((index, list)) => {
                backoff.reset();
                // An index that goes back means that the registry was restored: begin anew.
                since = if since.is_some_and(|since| index < since) { None } else { Some(index) };
                if to.send(list).await.is_err() {
                    return;
                }
                tokio::time::sleep(LISTS_APART).await;
            }
            Err(error) => {
                tracing::warn!(error = &*error, "the open records could not be listed");
                since = None;
                tokio::time::sleep(backoff.wait()).await;
            }
        }
    }
}

async fn list(
    registry: &Registry,
    since: Option<Index>,
) -> Result<(Index, List), Box<dyn std::error::Error + Send + Sync>> {
    // The registry's own wait has a margin; a connection that died silently has none.
    let within = LIST_WAIT * 2;
    Ok(tokio::time::timeout(within, registry.watch_open(since, LIST_WAIT)).await??)
}

async fn keep_hinting(app: SharedApp, to: mpsc::Sender<Hint>) {
    loop {
        let mut hints = app.engine.hints().await;
        while let Some(hint) = hints.recv().await {
            if to.send(hint).await.is_err() {
                return;
            }
        }
        if to.send(Hint::All).await.is_err() {
            return;
        }
        tokio::time::sleep(HINTS_AGAIN).await;
    }
}
