//! Deliveries that were refused, in the log: enough for who has mistyped a key, and no more than a line a second.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::domain::repo_url::RepoUrl;

/// The shortest time between two lines; strangers may be refused thousands of times a second.
const PAUSE: Duration = Duration::from_secs(1);
/// So many characters of an address are logged: anybody can send one, and a real one is shorter.
const ADDRESS: usize = 200;

/// The one place that logs refusals.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    last: Option<Instant>,
    left_out: u64,
}

impl Refusals {
    /// Logs a refusal, unless another one has just been logged; the next line then says how many were left out.
    pub(crate) fn log(&self, url: &RepoUrl, reason: &dyn Display) {
        if let Some(left_out) = self.due(Instant::now()) {
            tracing::warn!(repo = shown(url), %reason, left_out, "a delivery was refused");
        }
    }

    /// The same for who has no token that holds.
    pub(crate) fn log_token(&self, reason: &str) {
        if let Some(left_out) = self.due(Instant::now()) {
            tracing::warn!(reason, left_out, "a token was refused");
        }
    }

    /// How many refusals were left out before this one; none when this one is left out too.
    fn due(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE) {
            told.left_out += 1;
            return None;
        }
        told.last = Some(now);
        Some(std::mem::take(&mut told.left_out))
    }
}

/// A stranger's address: bounded, and escaped where a terminal would take it for something else.
fn shown(url: &RepoUrl) -> String {
    url.canonical().chars().take(ADDRESS).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_second_counts_those_left_out() {
        let (refusals, begun) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.due(begun), Some(0));
        assert_eq!(refusals.due(begun), None);
        assert_eq!(refusals.due(begun + PAUSE / 2), None);
        assert_eq!(refusals.due(begun + PAUSE), Some(2));
        assert_eq!(refusals.due(begun + 2 * PAUSE), Some(0));
    }

    #[test]
    fn an_address_is_bounded_and_escaped() {
        let long: RepoUrl = format!("https://git.example/{}", "a".repeat(2000)).parse().unwrap();
        assert_eq!(shown(&long).len(), ADDRESS);
        let turned: RepoUrl = "https://git.example/a\u{202e}b".parse().unwrap();
        assert_eq!(shown(&turned), "https://git.example/a\\u{202e}b");
    }
}
