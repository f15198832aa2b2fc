//! Test deliveries that arrived: noted, so that whoever has set a webhook up can see it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::SharedApp;
use crate::domain::delivery::Tested;

/// The least time between two notes of one repository: a forge can be made to send tests as fast as it can.
const PAUSE: Duration = Duration::from_secs(1);
/// So many repositories are remembered; more have not been tested within a second.
const REMEMBERED: usize = 1_000;
/// The whole of a note; nobody waits for one longer.
const NOTED_WITHIN: Duration = Duration::from_secs(5);

/// When each repository's test was noted last, and what waits for its turn.
#[derive(Debug, Default)]
pub(crate) struct Tests(Mutex<HashMap<String, Turn>>);

#[derive(Debug)]
struct Turn {
    last: Instant,
    waits: Option<Tested>,
}

/// What is to be done with a test.
#[derive(Debug, PartialEq, Eq)]
enum Due {
    Now,
    /// Nothing of it is lost: who waits already takes it along, or this one waits.
    At(Instant),
    TakenAlong,
}

impl Tests {
    /// Notes a test delivery. One that cannot be noted in time was a good one all the same: that is for the log.
    pub(crate) async fn note(app: &SharedApp, tested: Tested, until: Instant) {
        // Without a forge's number it is one of our own, and says nothing of a forge's way to us.
        if tested.origin.forge.is_empty() {
            return;
        }
        match app.tests.due(&tested, Instant::now()) {
            Due::Now => drop(tokio::time::timeout_at(until, write(app, &tested)).await),
            Due::TakenAlong => {}
            Due::At(when) => {
                let app = SharedApp::clone(app);
                tokio::spawn(async move {
                    tokio::time::sleep_until(when).await;
                    if let Some(newest) = app.tests.take(&tested.canonical, Instant::now()) {
                        drop(tokio::time::timeout(NOTED_WITHIN, write(&app, &newest)).await);
                    }
                });
            }
        }
    }

    fn due(&self, tested: &Tested, now: Instant) -> Due {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.len() >= REMEMBERED {
            turns.retain(|_, turn| turn.waits.is_some());
        }
        let Some(turn) = turns.get_mut(&tested.canonical) else {
            turns.insert(tested.canonical.clone(), Turn { last: now, waits: None });
            return Due::Now;
        };
        if turn.waits.is_some() {
            turn.waits = Some(tested.clone());
            return Due::TakenAlong;
        }
        if now.saturating_duration_since(turn.last) >= PAUSE {
            turn.last = now;
            return Due::Now;
        }
        turn.waits = Some(tested.clone());
        Due::At(turn.last + PAUSE)
    }

    fn take(&self, canonical: &str, now: Instant) -> Option<Tested> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = turns.get_mut(canonical)?;
        turn.last = now;
        turn.waits.take()
    }
}

async fn write(app: &SharedApp, tested: &Tested) {
    if let Err(error) = app.registry.keep_tested(tested).await {
        let repo = tested.canonical.as_str();
        tracing::warn!(repo, error = &error as &dyn std::error::Error, "a test delivery could not be noted");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::delivery::Origin;

    fn test(repo: &str, delivery: &str) -> Tested {
        let origin = Origin { forge: "gitea".into(), event: "push".into(), delivery: delivery.into() };
        Tested::new(repo, jiff::Timestamp::UNIX_EPOCH, origin)
    }

    #[tokio::test]
    async fn a_repository_s_tests_are_noted_once_a_second_and_the_newest_is_never_lost() {
        let (tests, begun) = (Tests::default(), Instant::now());
        assert_eq!(tests.due(&test("a", "1"), begun), Due::Now);
        assert_eq!(tests.due(&test("b", "1"), begun), Due::Now);
        assert_eq!(tests.due(&test("a", "2"), begun + PAUSE / 2), Due::At(begun + PAUSE));
        assert_eq!(tests.due(&test("a", "3"), begun + PAUSE / 2), Due::TakenAlong);
        assert_eq!(tests.take("a", begun + PAUSE), Some(test("a", "3")));
        assert_eq!(tests.due(&test("a", "4"), begun + PAUSE + PAUSE / 2), Due::At(begun + 2 * PAUSE));
        assert_eq!(tests.take("a", begun + 2 * PAUSE), Some(test("a", "4")));
        assert_eq!(tests.due(&test("a", "5"), begun + 3 * PAUSE), Due::Now);
    }

    #[tokio::test]
    async fn what_is_remembered_is_bounded() {
        let (tests, now) = (Tests::default(), Instant::now());
        for repo in 0..3 * REMEMBERED {
            assert_eq!(tests.due(&test(&repo.to_string(), "1"), now), Due::Now);
        }
        assert!(tests.0.lock().unwrap().len() <= REMEMBERED);
    }
}
