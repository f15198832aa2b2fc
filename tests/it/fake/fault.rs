//! What can go wrong between Albatros and a service, armed by a test for the requests it names.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::wire::PATIENCE;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// This status with this text, as a service in trouble answers.
    Text(u16, &'static str),
    /// A page from a proxy in between, with this status.
    Html(u16),
    /// 429 with `Retry-After: 1`.
    TooMany,
    /// 429 with this `Retry-After`.
    LeaveAlone(&'static str),
    /// No answer, and nothing is done, until the caller leaves or [`Faults::clear`].
    Hang,
    /// It is done, but the answer hangs until the caller leaves or [`Faults::clear`].
    HangAfter,
    /// The connection is cut and nothing is done.
    CutBefore,
    /// It is done, then the connection is cut.
    CutAfter,
    /// It is done and answered after this time.
    Slow(Duration),
}

/// How often a fault happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Times {
    /// For the next so many requests.
    Next(usize),
    /// Until [`Faults::clear`].
    All,
}

#[derive(Debug)]
struct Rule {
    method: &'static str,
    path: String,
    fault: Fault,
    left: Option<usize>,
    hits: watch::Sender<usize>,
}

/// The faults of one fake. Of several that fit a request, the first armed counts.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    rules: Mutex<Vec<Rule>>,
    released: Notify,
}

/// Tells how often a fault has happened.
#[derive(Debug)]
pub(crate) struct Armed(watch::Receiver<usize>);

impl Armed {
    /// Waits until the fault has happened `times` times.
    pub(crate) async fn hit(&mut self, times: usize) {
        let waited = tokio::time::timeout(PATIENCE, self.0.wait_for(|hits| *hits >= times)).await.is_ok();
        assert!(waited, "the fault happened {} times, not {times}", *self.0.borrow());
    }

    /// How often so far.
    pub(crate) fn hits(&self) -> usize {
        *self.0.borrow()
    }
}

impl Faults {
    /// Arms a fault for requests with this method (`*` for any) whose path and query contain `path`.
    pub(crate) fn arm(&self, method: &'static str, path: &str, times: Times, fault: Fault) -> Armed {
        let (hits, seen) = watch::channel(0);
        let left = match times {
            Times::Next(n) => Some(n),
            Times::All => None,
        };
        self.rules.lock().unwrap().push(Rule { method, path: path.to_owned(), fault, left, hits });
        Armed(seen)
    }

    /// Disarms all and lets go of what hangs (its connections are cut).
    pub(crate) fn clear(&self) {
        self.rules.lock().unwrap().clear();
        self.released.notify_waiters();
    }

    /// Ends with the next [`Faults::clear`].
    pub(super) async fn released(&self) {
        self.released.notified().await;
    }

    pub(super) fn take(&self, method: &str, path_and_query: &str) -> Option<Fault> {
        let mut rules = self.rules.lock().unwrap();
        let rule = rules.iter_mut().find(|rule| {
            rule.left != Some(0) && (rule.method == "*" || rule.method == method) && path_and_query.contains(&rule.path)
        })?;
        rule.left = rule.left.map(|n| n - 1);
        rule.hits.send_modify(|hits| *hits += 1);
        Some(rule.fault)
    }
}
