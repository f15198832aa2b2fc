//! The chunk that is being gathered.

use bytes::Bytes;

use super::{Chunk, SEND_AT, TIMES_MOST};

/// Text that is not sent yet, and when it came.
#[derive(Debug, Default)]
pub struct Draft {
    offset: u64,
    times: Vec<(u32, i64)>,
    text: Vec<u8>,
}

impl Draft {
    /// Adds text that arrived `at`, in milliseconds since 1970; a clock that goes back stands still here.
    pub fn add(&mut self, text: &[u8], at: i64) {
        if text.is_empty() {
            return;
        }
        let last = self.times.last().map(|(_, last)| *last);
        if last.is_none_or(|last| at > last)
            && let Ok(from) = u32::try_from(self.text.len())
        {
            self.times.push((from, at));
        }
        self.text.extend_from_slice(text);
    }

    /// Where the log ends, with what is here.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.text.len() as u64)
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Whether it should be sent now, and not be added to.
    #[must_use]
    pub fn is_full(&self) -> bool {
        // One addition of the masker changes the time a few times at most.
        self.text.len() >= SEND_AT || self.times.len() >= TIMES_MOST / 2
    }

    /// Whether the last byte ends a line; none where there is no byte.
    #[must_use]
    pub fn ends_line(&self) -> Option<bool> {
        self.text.last().map(|last| *last == b'\n')
    }

    /// All of it, as a chunk; none if there is nothing.
    pub fn take(&mut self) -> Option<Chunk> {
        if self.text.is_empty() {
            return None;
        }
        let offset = self.offset;
        self.offset = self.end();
        Some(Chunk {
            offset,
            times: std::mem::take(&mut self.times),
            text: Bytes::from(std::mem::take(&mut self.text)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_follow_each_other_and_know_when_their_text_came() {
        let mut draft = Draft::default();
        assert!(draft.take().is_none());
        draft.add(b"one\n", 10);
        draft.add(b"two\n", 10);
        draft.add(b"three\n", 12);
        draft.add(b"four\n", 11);
        let first = draft.take().unwrap();
        assert_eq!((first.offset, first.times.as_slice()), (0, [(0, 10), (8, 12)].as_slice()));
        draft.add(b"five\n", 13);
        let second = draft.take().unwrap();
        assert_eq!((second.offset, second.times.as_slice()), (first.end(), [(0, 13)].as_slice()));
        assert!(Chunk::from_wire(&first.to_wire().unwrap()).is_ok());
    }
}
