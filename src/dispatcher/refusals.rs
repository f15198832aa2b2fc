//! Deliveries that were refused, in the log: enough for who has mistyped a key, and no more than a line a second.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::audit::TARGET;
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
            let (repo, reason) = (shown(url.canonical()), shown(&reason.to_string()));
            tracing::warn!(target: TARGET, verdict = "unauthorized", reason, repo, left_out, "delivery");
        }
    }

    /// The same for what cannot be read, of whoever sent it.
    pub(crate) fn log_unread(&self, repo: Option<&str>, reason: &str) {
        if let Some(left_out) = self.due(Instant::now()) {
            let (repo, reason) = (repo.map(shown), shown(reason));
            tracing::warn!(target: TARGET, verdict = "refused", reason, repo, left_out, "delivery");
        }
    }

    /// The same for who has no token that holds.
    pub(crate) fn log_token(&self, reason: &str) {
        if let Some(left_out) = self.due(Instant::now()) {
            tracing::warn!(target: TARGET, verdict = "unauthorized", reason = shown(reason), left_out, "credential");
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

/// What a stranger wrote: bounded, and escaped where a terminal would take it for something else.
fn shown(text: &str) -> String {
    text.chars().take(ADDRESS).flat_map(char::escape_debug).collect()
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
        assert_eq!(shown(long.canonical()).len(), ADDRESS);
        let turned: RepoUrl = "https://git.example/a\u{202e}b".parse().unwrap();
        assert_eq!(shown(turned.canonical()), "https://git.example/a\\u{202e}b");
    }
}
