//! Lines out of pieces that are cut anywhere.

use bytes::{Bytes, BytesMut};

use super::frames::FrameError;

/// The longest line: an event carries a whole job or allocation.
const LONGEST: usize = 16 << 20;

/// What has come of lines so far.
#[derive(Debug, Default)]
pub(super) struct Lines {
    buffer: BytesMut,
    /// How much of the buffer has been searched in vain.
    searched: usize,
}

impl Lines {
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next whole line without its end; none until more is pushed.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, FrameError> {
        let unread = self.buffer.get(self.searched..).unwrap_or_default();
        let Some(end) = unread.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return if self.searched > LONGEST { Err(FrameError::TooLong(LONGEST)) } else { Ok(None) };
        };
        let mut line = self.buffer.split_to(self.searched + end + 1);
        line.truncate(self.searched + end);
        self.searched = 0;
        Ok(Some(line.freeze()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_come_whole_wherever_they_are_cut(pieces in prop::collection::vec("[ab\n]{0,5}", 0..10)) {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in &pieces {
                lines.push(piece.as_bytes());
                while let Some(line) = lines.next().unwrap() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            let whole = pieces.concat();
            let mut expected: Vec<&str> = whole.split('\n').collect();
            expected.pop();
            prop_assert_eq!(found, expected);
        }
    }
}
