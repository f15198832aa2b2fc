//! Test deliveries that arrived: noted, so that whoever has set a webhook up can see it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::App;
use crate::domain::delivery::Tested;

/// The least time between two notes of one repository: a forge can be made to send tests as fast as it can.
const PAUSE: Duration = Duration::from_secs(1);
/// So many repositories are remembered; more have not been tested within a second.
const REMEMBERED: usize = 1_000;

/// When each repository's test was noted last.
#[derive(Debug, Default)]
pub(crate) struct Tests(Mutex<HashMap<String, Instant>>);

impl Tests {
    /// Notes a test delivery. One that cannot be noted in time was a good one all the same: that is for the log.
    pub(crate) async fn note(&self, app: &App, tested: &Tested, until: tokio::time::Instant) {
        if !self.due(&tested.canonical, Instant::now()) {
            return;
        }
        let repo = tested.canonical.as_str();
        match tokio::time::timeout_at(until, app.registry.keep_tested(tested)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(repo, error = &error as &dyn std::error::Error, "a test delivery could not be noted");
            }
            Err(_elapsed) => tracing::warn!(repo, "a test delivery could not be noted in time"),
        }
    }

    fn due(&self, canonical: &str, now: Instant) -> bool {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.get(canonical).is_some_and(|last| now.saturating_duration_since(*last) < PAUSE) {
            return false;
        }
        if noted.len() >= REMEMBERED {
            noted.clear();
        }
        noted.insert(canonical.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_s_tests_are_noted_once_a_second_and_others_are_not_in_its_way() {
        let (tests, begun) = (Tests::default(), Instant::now());
        assert!(tests.due("a", begun) && !tests.due("a", begun + PAUSE / 2) && tests.due("b", begun + PAUSE / 2));
        assert!(tests.due("a", begun + PAUSE));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (tests, now) = (Tests::default(), Instant::now());
        for repo in 0..3 * REMEMBERED {
            assert!(tests.due(&repo.to_string(), now));
        }
        assert!(tests.0.lock().unwrap().len() <= REMEMBERED);
    }
}
