//! What a forge still allows, by what its answers say of it, and how slowly it is to be asked for that to last.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::api::http::Answer;

/// What is asked beside looks (registrations, statuses) has as much as they have.
const SHARE: u64 = 2;
/// However little is left: by then something may have changed.
const LONGEST: Duration = Duration::from_secs(300);

/// What was asked by one look, and what was left then.
#[derive(Debug, Default)]
pub(super) struct Budget(Mutex<Asked>);

#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    calls: u64,
    left: Option<Left>,
}

#[derive(Debug, Clone, Copy)]
struct Left {
    calls: u64,
    /// Until it is whole again.
    reset: Duration,
}

impl Budget {
    /// Notes an answer; those of a forge without limits say nothing.
    pub(super) fn note(&self, answer: &Answer) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.calls += 1;
        asked.left = left(answer).or(asked.left);
    }

    /// How long after a look like the one before the next is affordable.
    pub(super) fn pace(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pace()
    }
}

impl Asked {
    fn pace(self) -> Duration {
        let Some(left) = self.left else { return Duration::ZERO };
        let looks = left.calls / self.calls.saturating_mul(SHARE).max(1);
        let each = u32::try_from(looks).map_or(Duration::ZERO, |looks| left.reset / looks.max(1));
        each.min(LONGEST)
    }
}

/// Times are compared with the forge's own clock, not with ours.
fn left(answer: &Answer) -> Option<Left> {
    let date = answer.headers.get("date")?.to_str().ok()?;
    let now = httpdate::parse_http_date(date).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let reset = Duration::from_secs(answer.number("x-ratelimit-reset")?).saturating_sub(now);
    Some(Left { calls: answer.number("x-ratelimit-remaining")?, reset })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(calls: u64, remaining: &str) -> u64 {
        let headers = [
            ("date", "Sat, 21 Nov 2026 12:00:00 GMT"),
            ("x-ratelimit-remaining", remaining),
            ("x-ratelimit-reset", "1795264200"),
        ];
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let answer = Answer { status: reqwest::StatusCode::OK, headers, body: "".into() };
        let budget = Budget::default();
        (0..calls).for_each(|_| budget.note(&answer));
        budget.pace().as_secs()
    }

    #[test]
    fn looks_come_the_slower_the_less_a_forge_still_allows() {
        // Half an hour before it is whole again.
        assert_eq!(paced(10, "5000"), 7);
        assert_eq!(paced(100, "5000"), 72);
        assert_eq!(paced(10, "200"), 180);
        assert_eq!(paced(10, "3"), 300);
        assert_eq!(paced(10, "many"), 0, "who says nothing has no limit");
    }
}
