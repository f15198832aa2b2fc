//! What is not over yet, as the follower sees it: how many, and since when. Other replicas tell nothing of it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;

use super::label::OpenState;
use crate::domain::record::{Phase, Record};
use crate::domain::timeline::{self, Stage};

/// Builds of one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) state: OpenState,
    pub(super) count: i64,
    /// When the one began that has been in it for longest.
    pub(super) since: Option<Timestamp>,
}

const NONE: [Open; 6] = {
    const fn none(state: OpenState) -> Open {
        Open { state, count: 0, since: None }
    }
    [
        none(OpenState::Held),
        none(OpenState::Waiting),
        none(OpenState::Queued),
        none(OpenState::Preparing),
        none(OpenState::Running),
        none(OpenState::Reporting),
    ]
};

/// The builds of public repositories that are not over, by state.
#[derive(Debug)]
pub(crate) struct OpenBuilds(Mutex<[Open; 6]>);

impl Default for OpenBuilds {
    fn default() -> Self {
        Self(Mutex::new(NONE))
    }
}

impl OpenBuilds {
    /// All open records, as the follower has just read them. Jobs of builds are not counted, nor is what is private.
    pub(crate) fn set<'a>(&self, records: impl IntoIterator<Item = &'a Record>) {
        let mut all = NONE;
        let is_counted = |record: &&Record| !record.private && record.parent.is_none() && record.runner.is_none();
        for record in records.into_iter().filter(is_counted) {
            let (state, since) = state_of(record);
            if let Some(open) = all.iter_mut().find(|open| open.state == state) {
                open.count += 1;
                open.since = Some(open.since.map_or(since, |oldest| oldest.min(since)));
            }
        }
        *self.lock() = all;
    }

    /// This replica follows nothing any more.
    pub(crate) fn clear(&self) {
        *self.lock() = NONE;
    }

    pub(super) fn now(&self) -> [Open; 6] {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, [Open; 6]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn state_of(record: &Record) -> (OpenState, Timestamp) {
    if let Phase::Ended { .. } = record.phase {
        return (OpenState::Reporting, record.finished.unwrap_or(record.created));
    }
    let steps = timeline::of_record(record);
    let Some(step) = steps.last() else { return (OpenState::Queued, record.created) };
    let state = match step.stage {
        Stage::Held => OpenState::Held,
        Stage::Waiting => OpenState::Waiting,
        Stage::Queued => OpenState::Queued,
        Stage::Preparing => OpenState::Preparing,
        Stage::Running => OpenState::Running,
    };
    (state, step.from)
}

type Waits = BTreeSet<(Timestamp, u64)>;

/// Builds whose forge has not been told yet what it is to be told.
#[derive(Debug, Default)]
pub(crate) struct Unposted(Arc<Mutex<(Waits, u64)>>);

/// One of them; it is none any more when this is dropped.
#[derive(Debug)]
pub(crate) struct Waiting {
    all: Arc<Mutex<(Waits, u64)>>,
    key: (Timestamp, u64),
}

impl Unposted {
    /// There is something to tell, since then.
    pub(crate) fn begin(&self, since: Timestamp) -> Waiting {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.1 += 1;
        let key = (since, all.1);
        all.0.insert(key);
        Waiting { all: Arc::clone(&self.0), key }
    }

    /// How many, and since when the oldest waits.
    pub(super) fn now(&self) -> (usize, Option<Timestamp>) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (all.0.len(), all.0.first().map(|(since, _)| *since))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).0.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn record(change: impl Fn(&mut Value)) -> Record {
        let mut record = json!({
            "version": 1, "nonce": "n", "repo": "http://git.example/a/b", "canonical": "http://git.example/a/b",
            "ref": "refs/heads/main", "branch": "main", "before": "", "commit": "1".repeat(40), "flavor": "default",
            "event": "push", "sender": {"login": "quentin"}, "trusted": true, "private": false,
            "builder": "builder", "namespace": "ci", "meta": {}, "created": "2026-11-21T00:00:10Z",
            "phase": {"is": "dispatched"},
        });
        change(&mut record);
        serde_json::from_value(record).unwrap()
    }

    fn told(records: &[Record]) -> Vec<(&'static str, i64, String)> {
        let open = OpenBuilds::default();
        open.set(records);
        let since = |open: &Open| open.since.map(|at| at.to_string()).unwrap_or_default();
        open.now().iter().filter(|open| open.count > 0).map(|one| (one.state.word(), one.count, since(one))).collect()
    }

    #[test]
    fn each_build_is_in_one_state_and_the_oldest_is_told() {
        let queued = record(|_| {});
        let older = record(|record| record["created"] = "2026-11-21T00:00:05Z".into());
        let running = record(|record| record["started"] = "2026-11-21T00:01:00Z".into());
        let over = record(|record| {
            record["phase"] = json!({"is": "ended", "outcome": {"is": "success"}});
            record["finished"] = "2026-11-21T00:02:00Z".into();
        });
        let held = record(|record| record["phase"] = json!({"is": "held"}));
        assert_eq!(
            told(&[queued, older, running, over, held]),
            [
                ("held", 1, "2026-11-21T00:00:10Z".to_owned()),
                ("queued", 2, "2026-11-21T00:00:05Z".to_owned()),
                ("running", 1, "2026-11-21T00:01:00Z".to_owned()),
                ("reporting", 1, "2026-11-21T00:02:00Z".to_owned()),
            ]
        );
    }

    #[test]
    fn nothing_private_is_counted() {
        assert_eq!(told(&[record(|record| record["private"] = true.into())]), []);
    }

    #[test]
    fn what_was_posted_does_not_wait_any_more() {
        let (unposted, second) = (Unposted::default(), |n| Timestamp::from_second(n).unwrap());
        let first = unposted.begin(second(5));
        let also = unposted.begin(second(5));
        let later = unposted.begin(second(9));
        assert_eq!(unposted.now(), (3, Some(second(5))));
        drop((first, also));
        assert_eq!(unposted.now(), (1, Some(second(9))));
        drop(later);
        assert_eq!(unposted.now(), (0, None));
    }
}
