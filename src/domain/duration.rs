//! Durations as people write them: `90s`, `30m`, `1h`, `7d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A whole number of seconds, 1 s to 366 d; as JSON the text that people write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[0-9]{1,9}[smhd]$")]
pub struct Span(u64);

/// Not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a duration such as 90s, 30m, 1h or 7d")]
pub struct SpanError;

const MAX_SECONDS: u64 = 366 * 86_400;

impl Span {
    /// From seconds, cut to the range.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(if seconds == 0 {
            1
        } else if seconds > MAX_SECONDS {
            MAX_SECONDS
        } else {
            seconds
        })
    }

    /// As the standard library's type.
    #[must_use]
    pub const fn get(self) -> Duration {
        Duration::from_secs(self.0)
    }
}

impl TryFrom<String> for Span {
    type Error = SpanError;
    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl FromStr for Span {
    type Err = SpanError;
    fn from_str(text: &str) -> Result<Self, SpanError> {
        let (unit, each) = match text.bytes().last() {
            Some(b's') => ("s", 1),
            Some(b'm') => ("m", 60),
            Some(b'h') => ("h", 3_600),
            Some(b'd') => ("d", 86_400),
            Some(_) | None => return Err(SpanError),
        };
        let number = text.strip_suffix(unit).ok_or(SpanError)?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(SpanError);
        }
        let seconds = number.parse::<u64>().ok().and_then(|n| n.checked_mul(each)).ok_or(SpanError)?;
        if !(1..=MAX_SECONDS).contains(&seconds) {
            return Err(SpanError);
        }
        Ok(Self(seconds))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, each) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
            if self.0.is_multiple_of(each) {
                return write!(f, "{}{unit}", self.0 / each);
            }
        }
        write!(f, "{}s", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_span_survives_a_round_trip(seconds in 1..=MAX_SECONDS) {
            let span = Span::seconds(seconds);
            prop_assert_eq!(span.to_string().parse::<Span>(), Ok(span));
        }
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "h", "1", "-1h", "1.5h", "0s", "1 h", "367d", "99999999999999999999d", "1hm"] {
            assert_eq!(text.parse::<Span>(), Err(SpanError), "{text}");
        }
    }
}
