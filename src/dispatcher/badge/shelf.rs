//! What badges have found out: they stand on pages that many load, and strangers may ask for any.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::picture::Standing;

/// How old a standing may be.
const STANDING_FOR: Duration = Duration::from_secs(5);
/// How long nothing is said of what was not found out in time, unless it is by then.
const SLOW_FOR: Duration = Duration::from_secs(60);
/// How long the forge's word on a default branch holds.
const DEFAULT_FOR: Duration = Duration::from_secs(600);
/// How long it is not asked again after it has not answered.
const NO_DEFAULT_FOR: Duration = Duration::from_secs(60);
/// Of each kind; a branch can be named by anybody.
const REMEMBERED: usize = 512;
/// Look-ups at once: one may read much of the history.
const AT_ONCE: usize = 2;

/// Badges at once that are being found out, for some longer than anybody waits.
const PLACES: usize = 32;

/// Which badge: repository (canonical), ref (empty: the default branch), flavor, and whether private builds count.
pub(super) type Which = (String, String, Option<String>, bool);

/// Only of repositories that are configured.
#[derive(Debug)]
pub(crate) struct Badges {
    standings: Newest<Which, Standing>,
    slow: Newest<Which, ()>,
    defaults: Newest<String, Option<String>>,
    pub(super) turns: Semaphore,
    pub(super) places: Arc<Semaphore>,
}

impl Default for Badges {
    fn default() -> Self {
        Self {
            standings: Newest::default(),
            slow: Newest::default(),
            defaults: Newest::default(),
            turns: Semaphore::new(AT_ONCE),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }
}

impl Badges {
    /// What was found out of late; unknown, while it takes longer than anybody waits.
    pub(super) fn standing(&self, which: &Which, now: Instant) -> Option<Standing> {
        self.found(which, now).or_else(|| self.slow.get(which, now).map(|()| Standing::Unknown))
    }

    /// What was found out of late.
    pub(super) fn found(&self, which: &Which, now: Instant) -> Option<Standing> {
        self.standings.get(which, now)
    }

    /// Nobody waits for this one any more.
    pub(super) fn keep_slow(&self, which: Which, now: Instant) {
        if self.found(&which, now).is_none() {
            self.slow.keep(which, (), now + SLOW_FOR, now);
        }
    }

    pub(super) fn keep_standing(&self, which: Which, standing: Standing, now: Instant) {
        self.slow.forget(&which);
        self.standings.keep(which, standing, now + STANDING_FOR, now);
    }

    /// None: nobody has asked of late. None in it: the forge does not say.
    pub(super) fn default_branch(&self, repo: &str, now: Instant) -> Option<Option<String>> {
        self.defaults.get(repo, now)
    }

    pub(super) fn keep_default(&self, repo: &str, branch: Option<String>, now: Instant) {
        let until = now + if branch.is_some() { DEFAULT_FOR } else { NO_DEFAULT_FOR };
        self.defaults.keep(repo.to_owned(), branch, until, now);
    }
}

/// Values that hold until a moment, no more than [`REMEMBERED`].
#[derive(Debug)]
struct Newest<K, V>(Mutex<HashMap<K, (Instant, V)>>);

impl<K, V> Default for Newest<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Clone> Newest<K, V> {
    fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q, now: Instant) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
    {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(until, _)| now < *until).map(|(_, value)| value.clone())
    }

    fn forget(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn keep(&self, key: K, value: V, until: Instant, now: Instant) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= REMEMBERED {
            kept.retain(|_, (until, _)| now < *until);
        }
        if kept.len() < REMEMBERED {
            kept.insert(key, (until, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn which(n: usize) -> Which {
        ("https://git.example/o/r".to_owned(), format!("refs/heads/b{n}"), None, false)
    }

    #[test]
    fn what_was_found_out_holds_for_a_while() {
        let (badges, begun) = (Badges::default(), Instant::now());
        badges.keep_standing(which(1), Standing::Passing, begun);
        assert_eq!(badges.standing(&which(1), begun), Some(Standing::Passing));
        assert_eq!(badges.standing(&which(1), begun + STANDING_FOR), None);
        badges.keep_default("r", None, begun);
        assert_eq!(badges.default_branch("r", begun), Some(None));
        assert_eq!(badges.default_branch("r", begun + NO_DEFAULT_FOR), None);
    }

    #[test]
    fn what_was_not_found_out_in_time_is_unknown_until_it_is() {
        let (badges, begun) = (Badges::default(), Instant::now());
        badges.keep_slow(which(1), begun);
        assert_eq!(badges.standing(&which(1), begun), Some(Standing::Unknown));
        assert_eq!(badges.found(&which(1), begun), None, "who is finding it out goes on");
        badges.keep_standing(which(1), Standing::Passing, begun);
        assert_eq!(badges.standing(&which(1), begun), Some(Standing::Passing));
        assert_eq!(badges.standing(&which(1), begun + STANDING_FOR), None);
        badges.keep_slow(which(2), begun);
        assert_eq!(badges.standing(&which(2), begun + SLOW_FOR), None);
    }

    #[test]
    fn however_many_branches_are_asked_for_only_so_much_is_kept() {
        let (badges, begun) = (Badges::default(), Instant::now());
        for n in 0..2 * REMEMBERED {
            badges.keep_standing(which(n), Standing::Unknown, begun);
        }
        assert_eq!(badges.standings.0.lock().unwrap().len(), REMEMBERED);
        badges.keep_standing(which(9_999), Standing::Passing, begun + STANDING_FOR);
        assert_eq!(badges.standings.0.lock().unwrap().len(), 1);
    }
}
