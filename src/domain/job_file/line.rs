//! From bytes to lines.

use std::ops::Range;

/// Where lines begin.
#[derive(Debug)]
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self(breaks.map(|(at, _)| at + 1).collect())
    }

    /// The line a thing begins on, from 1.
    pub(super) fn at(&self, span: Option<Range<usize>>) -> u32 {
        let start = span.map_or(0, |span| span.start);
        let before = self.0.partition_point(|begin| *begin <= start);
        u32::try_from(before + 1).unwrap_or(u32::MAX)
    }
}
