//! Times in words.

use jiff::{SignedDuration, Timestamp};

use crate::domain::status;

/// A moment, as `<time>` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moment {
    /// For programs: RFC 3339.
    pub(crate) datetime: String,
    /// For people who want it exactly.
    pub(crate) exact: String,
    /// For people, seen from the moment at which the page was made.
    pub(crate) ago: String,
}

impl Moment {
    pub(crate) fn of(at: Timestamp, now: Timestamp) -> Self {
        Self {
            datetime: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            exact: at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
            ago: ago(now.duration_since(at)),
        }
    }
}

/// How long ago, in its largest unit.
fn ago(span: SignedDuration) -> String {
    let seconds = span.as_secs();
    let (count, unit) = match seconds {
        ..10 => return "just now".to_owned(),
        10..60 => (seconds, "second"),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        86_400.. => (seconds / 86_400, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural} ago")
}

/// How long something took, in its two largest units: `2m30s`.
pub(crate) fn took(from: Timestamp, until: Timestamp) -> String {
    status::for_people(until.duration_since(from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_say_them() {
        let told = |seconds: i64| ago(SignedDuration::from_secs(seconds));
        for (seconds, words) in [
            (-5, "just now"),
            (9, "just now"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (7_200, "2 hours ago"),
            (90_000, "1 day ago"),
            (9_000_000, "104 days ago"),
        ] {
            assert_eq!(told(seconds), words);
        }
    }

    #[test]
    fn a_moment_is_exact_for_who_wants_it() {
        let at: Timestamp = "2026-11-22T08:30:00.123Z".parse().unwrap();
        let moment = Moment::of(at, at + SignedDuration::from_secs(90));
        assert_eq!(moment.datetime, "2026-11-22T08:30:00Z");
        assert_eq!((moment.exact.as_str(), moment.ago.as_str()), ("2026-11-22 08:30:00 UTC", "1 minute ago"));
    }
}
