//! Runners that nobody told of: what each forge lists is held against the records, scope by scope, and made good.
//!
//! What may be killed where. Each look reads anew, and all that it writes is by compare-and-set or is the same when it is
//! done twice:
//! - a claim is made over job, run and try, so that two followers claim the same one;
//! - a runner that nobody needs is taken off its forge's list before its record is told to stop: killed in between, the
//!   next look no longer finds it listed, and stops it;
//! - a record that ends takes its runner off the list before it moves to `done/`, by its name, so that it is found even if
//!   its number was never written down;
//! - whatever slips through all that is on the forge's list with our tag and without a record, and goes.

mod end;
mod look;
mod tries;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::backoff::Backoff;
use super::lock::Lock;
use crate::dispatcher::SharedApp;
use crate::domain::config::ForgeKind;
use crate::domain::id::ClaimId;
use crate::domain::record::{Phase, Record};
use crate::domain::repo_url::RepoUrl;
use crate::domain::runners::Before;
use crate::registry::Found;
use look::{Look, LookError, Looked, Rounds};

/// The longest between two tries of a forge that does not answer.
const TROUBLED: Duration = Duration::from_secs(300);
/// How long one look may take.
const WITHIN: Duration = Duration::from_secs(120);
/// Scopes that are looked at at once.
const AT_ONCE: usize = 4;
/// Which scopes there are and what is due is looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// What something is told of out of turn is not looked at sooner after the look before, where each costs calls that are
/// counted.
const APART: Duration = Duration::from_secs(10);
/// A scope that something was told of is looked at after this: its next delivery is often close behind.
const SOON: Duration = Duration::from_millis(500);

/// The open records of runners, as the follower has listed them last.
pub(super) type Listed = Arc<Vec<(ClaimId, Record)>>;

/// What is known of a scope beside its records; losing it costs a look.
#[derive(Debug)]
struct Scoped {
    due: Instant,
    /// Its forge is to be left alone until then, whatever is told.
    not_before: Instant,
    /// How far apart looks are at least.
    apart: Duration,
    looking: bool,
    /// Something has changed since the look that is under way began.
    stale: bool,
    before: Before,
    rounds: Rounds,
    backoff: Backoff,
    /// Those whose jobs need nobody any more, and how many runners there were: news are looked at at once.
    told: HashSet<ClaimId>,
    count: usize,
}

impl Scoped {
    fn new(every: Duration) -> Self {
        let backoff = Backoff::new(every, TROUBLED.max(every));
        let (before, told) = (Before::default(), HashSet::new());
        Self {
            due: Instant::now(),
            not_before: Instant::now(),
            apart: Duration::ZERO,
            looking: false,
            stale: false,
            before,
            rounds: Rounds::default(),
            backoff,
            told,
            count: 0,
        }
    }

    /// Something was told: it is looked at soon, though not before its forge wants to be asked again.
    fn hurry(&mut self, now: Instant) {
        self.due = self.due.min(now + SOON).max(self.not_before);
    }

    /// The next look, this long after one that ended now, and the forge left alone for so long whatever is told meanwhile.
    fn rest(&mut self, now: Instant, wait: Duration, alone: Duration) {
        self.not_before = now + alone.max(self.apart);
        self.due = (now + wait).max(self.not_before);
    }
}

/// Looks at each scope as long as the lock is held.
pub(super) async fn keep_looking(app: SharedApp, lock: Arc<Lock>, lists: watch::Receiver<Listed>) {
    // How often a forge is asked that told of nothing.
    let every = app.settings.runners_every;
    let mut scopes: HashMap<String, Scoped> = HashMap::new();
    let mut looks: JoinSet<(String, Result<Looked, LookError>)> = JoinSet::new();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !lock.lost().is_cancelled() && !lock.leaving().is_cancelled() {
        tokio::select! {
            () = lock.lost().cancelled() => return,
            () = lock.leaving().cancelled() => return,
            _ = tick.tick() => {}
            Some(ended) = looks.join_next() => ended_of(&mut scopes, ended, every),
        }
        let listed = Arc::clone(&lists.borrow());
        let found = match app.registry.entries().await {
            Ok(entries) => entries,
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "scopes of runners cannot be listed now");
                continue;
            }
        };
        hear(&mut scopes, &listed);
        for found in wanted(&found, &listed) {
            let Some(canonical) = canonical(&found.repo) else { continue };
            let scoped = scopes.entry(canonical.clone()).or_insert_with(|| Scoped::new(every));
            if scoped.looking || scoped.due > Instant::now() {
                continue;
            }
            (scoped.looking, scoped.stale) = (true, false);
            scoped.apart = apart(found, every);
            let look = Look {
                app: SharedApp::clone(&app),
                lock: Arc::clone(&lock),
                found: found.clone(),
                scope: canonical.clone(),
                before: scoped.before.clone(),
                rounds: scoped.rounds.clone(),
            };
            let places = Arc::clone(&places);
            looks.spawn(async move {
                let Ok(_place) = places.acquire_owned().await else { return (canonical, Err(LookError::Lock)) };
                let looked = tokio::time::timeout(WITHIN, look.look()).await;
                (canonical, looked.unwrap_or(Err(LookError::Slow)))
            });
        }
    }
}

/// The entries that have pools, or had them and have runners left.
fn wanted<'a>(entries: &'a [Found], listed: &Listed) -> Vec<&'a Found> {
    let left: HashSet<&str> =
        listed.iter().filter_map(|(_, record)| Some(record.runner.as_deref()?.scope.as_str())).collect();
    let has = |found: &&Found| {
        let is_left = || canonical(&found.repo).is_some_and(|canonical| left.contains(canonical.as_str()));
        !found.config.runners.is_empty() || (found.config.forge.is_some() && is_left())
    };
    entries.iter().filter(has).collect()
}

/// GitHub counts calls by the hour, and a look at an organisation costs many.
fn apart(found: &Found, every: Duration) -> Duration {
    match found.config.forge.as_ref().map(|forge| forge.kind) {
        Some(ForgeKind::Github) => APART.min(every),
        Some(ForgeKind::Gitea) | None => Duration::ZERO,
    }
}

fn canonical(repo: &str) -> Option<String> {
    repo.parse::<RepoUrl>().ok().map(|url| url.canonical().to_owned())
}

/// Brings forward what is due where something has changed that a look can make use of.
fn hear(scopes: &mut HashMap<String, Scoped>, listed: &Listed) {
    let mut now: HashMap<&str, (HashSet<ClaimId>, usize)> = HashMap::new();
    for (claim, record) in listed.iter() {
        let Some(runner) = record.runner.as_deref() else { continue };
        let is_open = record.stop.is_none() && !matches!(record.phase, Phase::Ended { .. });
        let (told, count) = now.entry(runner.scope.as_str()).or_default();
        // One that never began is looked after in its time: what it lacked is rarely there at once.
        *count += usize::from(is_open && record.build.is_some());
        if is_open && runner.unneeded.is_some() && runner.is_idle() {
            told.insert(claim.clone());
        }
    }
    for (scope, scoped) in scopes {
        let (told, count) = now.remove(scope.as_str()).unwrap_or_default();
        let is_news = !told.is_subset(&scoped.told) || count < scoped.count;
        if is_news {
            scoped.stale = true;
            scoped.hurry(Instant::now());
        }
        (scoped.told, scoped.count) = (told, count);
    }
}

fn ended_of(
    scopes: &mut HashMap<String, Scoped>,
    ended: Result<(String, Result<Looked, LookError>), tokio::task::JoinError>,
    every: Duration,
) {
    match ended {
        Ok((scope, looked)) => {
            let Some(scoped) = scopes.get_mut(&scope) else { return };
            scoped.looking = false;
            let (error, pace) = match looked {
                Ok(Looked { before, rounds, trouble, pace }) => {
                    (scoped.before, scoped.rounds) = (before, rounds);
                    (trouble, pace)
                }
                Err(error) => (Some(error), Duration::ZERO),
            };
            let asked = error.as_ref().and_then(LookError::wait).unwrap_or_default();
            let wait = match error {
                None => {
                    scoped.backoff.reset();
                    if scoped.stale { SOON } else { every }
                }
                Some(error) => {
                    let cause = &error as &dyn std::error::Error;
                    let what = "runners and jobs of a forge could not all be looked after; it is tried again";
                    tracing::warn!(scope, error = cause, "{what}");
                    scoped.backoff.wait()
                }
            };
            scoped.rest(Instant::now(), wait, asked.max(pace));
        }
        Err(error) => {
            // Which one is not known: those that are not at it any more begin anew.
            tracing::error!(%error, "a look at runners broke");
            scopes.retain(|_, scoped| !scoped.looking);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(30);

    #[test]
    fn what_is_told_brings_a_look_forward_and_never_before_the_forge_wants_to_be_asked_again() {
        let (mut scoped, now) = (Scoped::new(EVERY), Instant::now());
        scoped.rest(now, EVERY, Duration::ZERO);
        scoped.hurry(now);
        assert_eq!(scoped.due, now + SOON);
        let asked = Duration::from_secs(900);
        scoped.rest(now, EVERY, asked);
        assert_eq!(scoped.due, now + asked);
        scoped.hurry(now);
        assert_eq!(scoped.due, now + asked);
        scoped.apart = APART;
        scoped.rest(now, EVERY, Duration::ZERO);
        assert_eq!(scoped.due, now + EVERY);
        scoped.hurry(now);
        assert_eq!(scoped.due, now + APART, "calls of GitHub's are counted");
        scoped.hurry(now + APART);
        assert_eq!(scoped.due, now + APART);
    }
}
