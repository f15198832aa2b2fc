//! How far a log has been read: which file, and how many of its bytes.
//!
//! Nomad's own offsets count over the files that still exist, so after a rotation they name other bytes. A new
//! connection therefore begins at the oldest file, and what is known already is skipped.

use bytes::{Buf as _, Bytes};

/// How far a log has been read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The file's number; one more with each rotation.
    file: u64,
    /// How many bytes of the file have been passed on.
    bytes: u64,
    /// How many of these this connection has yet to repeat.
    skip: u64,
    /// This connection has shown the file.
    seen: bool,
    /// All that was passed on.
    total: u64,
}

/// What a piece of the log comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// What is missing before it.
    pub(super) gap: Option<String>,
    /// What is new of it; may be empty.
    pub(super) bytes: Bytes,
}

impl Position {
    /// How many bytes have been passed on.
    pub(super) fn read(&self) -> u64 {
        self.total
    }

    /// A new connection begins with the oldest file that still exists.
    pub(super) fn rewind(&mut self) {
        self.skip = self.bytes;
        self.seen = false;
    }

    /// The next piece, in the order in which they arrive.
    pub(super) fn take(&mut self, file: u64, mut bytes: Bytes) -> Piece {
        if file < self.file {
            return Piece { gap: None, bytes: Bytes::new() };
        }
        let gap = if file > self.file { self.step(file) } else { None };
        self.seen = true;
        let known = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        bytes.advance(known);
        self.skip -= known as u64;
        self.bytes += bytes.len() as u64;
        self.total += bytes.len() as u64;
        Piece { gap, bytes }
    }

    /// The file was emptied under its writer: what comes now is new.
    pub(super) fn restart(&mut self, file: u64) {
        if file == self.file {
            (self.bytes, self.skip) = (0, 0);
        }
    }

    fn step(&mut self, file: u64) -> Option<String> {
        let between = file - self.file - 1;
        // A file that this connection did not show to where it was known, or never showed at all, may have grown unseen.
        let cut = !self.seen || self.skip > 0;
        (self.file, self.bytes, self.skip) = (file, 0, 0);
        let lost = between + u64::from(cut);
        let files = if lost == 1 { "a log file".to_owned() } else { format!("{lost} log files") };
        (lost > 0).then(|| {
            format!("output is missing here: Nomad rotated {files} away before it could be read (larger `logs` in the builder help)")
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn take(position: &mut Position, file: u64, text: &'static str) -> (bool, String) {
        let piece = position.take(file, Bytes::from_static(text.as_bytes()));
        (piece.gap.is_some(), String::from_utf8(piece.bytes.to_vec()).unwrap())
    }

    #[test]
    fn files_follow_each_other() {
        let mut position = Position::default();
        assert_eq!(take(&mut position, 0, "ab"), (false, "ab".to_owned()));
        assert_eq!(take(&mut position, 1, "cd"), (false, "cd".to_owned()));
        assert_eq!(take(&mut position, 3, "gh"), (true, "gh".to_owned()));
        assert_eq!(position.read(), 6);
    }

    #[test]
    fn a_log_whose_beginning_was_rotated_away_says_so() {
        let mut position = Position::default();
        let piece = position.take(19, Bytes::from_static(b"x"));
        assert!(piece.gap.unwrap().contains("19 log files"), "files 0 to 18");
        assert_eq!(take(&mut position, 20, "y"), (false, "y".to_owned()));
    }

    #[test]
    fn a_new_connection_repeats_nothing() {
        let mut position = Position::default();
        take(&mut position, 0, "abc");
        take(&mut position, 1, "def");
        position.rewind();
        assert_eq!(take(&mut position, 0, "abc"), (false, String::new()));
        assert_eq!(take(&mut position, 1, "de"), (false, String::new()));
        assert_eq!(take(&mut position, 1, "fgh"), (false, "gh".to_owned()));
    }

    #[test]
    fn a_file_that_went_while_nobody_read_it_is_told() {
        let mut position = Position::default();
        take(&mut position, 1, "abc");
        position.rewind();
        assert_eq!(take(&mut position, 2, "x"), (true, "x".to_owned()));
        assert_eq!(take(&mut position, 2, "y"), (false, "y".to_owned()));
    }

    #[test]
    fn an_emptied_file_begins_anew() {
        let mut position = Position::default();
        take(&mut position, 0, "abc");
        position.restart(0);
        assert_eq!(take(&mut position, 0, "xy"), (false, "xy".to_owned()));
    }

    proptest! {
        /// Whatever is cut where, and however often the connection breaks: every byte comes once, in order.
        #[test]
        fn every_byte_comes_once(
            files in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 1..5),
            breaks in prop::collection::vec((0_usize..150, 1_usize..7), 0..6),
        ) {
            let whole: Vec<(u64, u8)> =
                files.iter().zip(0_u64..).flat_map(|(file, number)| file.iter().map(move |byte| (number, *byte))).collect();
            let mut position = Position::default();
            let mut read = Vec::new();
            let ends = breaks.iter().copied().chain([(whole.len(), 5)]);
            for (end, step) in ends {
                position.rewind();
                for run in whole[..end.min(whole.len())].chunk_by(|one, other| one.0 == other.0) {
                    for piece in run.chunks(step) {
                        let bytes: Vec<u8> = piece.iter().map(|(_, byte)| *byte).collect();
                        let taken = position.take(piece[0].0, bytes.into());
                        prop_assert_eq!(taken.gap, None);
                        read.extend_from_slice(&taken.bytes);
                    }
                }
            }
            prop_assert_eq!(read, files.concat());
        }
    }
}
