//! What stands before a line where the archive has put it: when it came, and which stream it is of.

/// What stands before each line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layout {
    /// `2026-01-31T12:00:00.000Z ` by [`Stamper`](crate::domain::log_chunk::Stamper) or
    /// [`Merger`](crate::domain::log_chunk::Merger).
    pub times: bool,
    /// `out | ` or `err | ` by [`Merger`](crate::domain::log_chunk::Merger).
    pub both: bool,
}

const STAMP: &[u8] = b"2026-01-31T12:00:00.000Z ";
const SOURCE: usize = 6;

impl Layout {
    /// Bytes before each line.
    pub(super) fn length(self) -> usize {
        usize::from(self.times) * STAMP.len() + usize::from(self.both) * SOURCE
    }

    /// Reads them; none where they are something else, which lines of our own are that tell of missing bytes.
    pub(super) fn read(self, bytes: &[u8]) -> Option<Head> {
        let (stamp, source) = bytes.split_at_checked(usize::from(self.times) * STAMP.len())?;
        let is_stamp = stamp.iter().zip(STAMP).all(|(byte, model)| match model {
            b'0'..=b'9' => byte.is_ascii_digit(),
            _ => byte == model,
        });
        if !is_stamp {
            return None;
        }
        let time = stamp.get(11..23).and_then(|time| std::str::from_utf8(time).ok()).map(str::to_owned);
        let source = match source {
            b"" if !self.both => None,
            b"out | " if self.both => Some("out"),
            b"err | " if self.both => Some("err"),
            _ => return None,
        };
        Some(Head { time, source })
    }
}

/// What stood before a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Head {
    pub(super) time: Option<String>,
    pub(super) source: Option<&'static str>,
}
