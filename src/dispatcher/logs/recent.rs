//! The newest bytes of a log, kept in memory for those who read at its end.

use std::collections::VecDeque;

use bytes::Bytes;

/// Most bytes kept: readers at the end share them instead of reading the file each for itself.
const BYTES: usize = 256 * 1024;
/// Most pieces kept, because a log that comes byte by byte would cost more for its pieces than for its bytes.
const PIECES: usize = 1024;

/// The last pieces, in order, without a hole between them.
#[derive(Debug, Default)]
pub(super) struct Recent {
    pieces: VecDeque<(u64, Bytes)>,
    bytes: usize,
}

impl Recent {
    /// Adds what begins at `offset`, and lets the oldest go; the newest piece always stays.
    pub(super) fn push(&mut self, offset: u64, piece: Bytes) {
        self.bytes += piece.len();
        self.pieces.push_back((offset, piece));
        while self.pieces.len() > PIECES || (self.bytes > BYTES && self.pieces.len() > 1) {
            let Some((_, gone)) = self.pieces.pop_front() else { break };
            self.bytes -= gone.len();
        }
    }

    /// The bytes from `offset` to the end of the piece that holds it; none when they are older or yet to come.
    pub(super) fn from(&self, offset: u64) -> Option<Bytes> {
        let behind = self.pieces.partition_point(|(start, _)| *start <= offset);
        let (start, piece) = self.pieces.get(behind.checked_sub(1)?)?;
        let skip = usize::try_from(offset - start).ok()?;
        (skip < piece.len()).then(|| piece.slice(skip..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_bytes_are_found_by_their_offset() {
        let mut recent = Recent::default();
        recent.push(0, Bytes::from_static(b"abc"));
        recent.push(3, Bytes::from_static(b"defg"));
        assert_eq!(recent.from(1).as_deref(), Some(&b"bc"[..]));
        assert_eq!(recent.from(3).as_deref(), Some(&b"defg"[..]));
        assert_eq!(recent.from(6).as_deref(), Some(&b"g"[..]));
        assert_eq!(recent.from(7), None);
    }

    #[test]
    fn old_bytes_go_and_memory_stays_bounded() {
        let mut recent = Recent::default();
        for at in 0..10_000 {
            recent.push(at, Bytes::from_static(b"x"));
        }
        assert_eq!(recent.pieces.len(), PIECES);
        assert_eq!(recent.from(0), None);
        recent.push(10_000, Bytes::from(vec![0; 2 * BYTES]));
        assert_eq!(recent.bytes, 2 * BYTES);
        assert_eq!(recent.from(9_999), None);
    }
}
