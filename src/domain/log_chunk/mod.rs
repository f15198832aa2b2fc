//! Logs that last: how a log is cut into chunks, what is hidden in them, and how they are put together again.
//!
//! ```text
//! read ──bytes, time──▶ Masker ──▶ Draft ──Chunk──▶ store ──Chunk──▶ Joiner ──▶ Stamper
//!                         ▲
//!                      needles
//! ```
//!
//! An offset counts bytes of the archived text: what was replaced is counted as it stands there.

mod draft;
mod end;
mod join;
mod mask;
mod merge;
mod needles;
mod stamp;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

pub use draft::Draft;
pub use end::End;
pub use join::{Joined, Joiner};
pub use mask::{Masker, MaskerError};
pub use merge::Merger;
pub use needles::{NEEDLES_MOST, TooManyNeedles, needles};
pub use stamp::Stamper;

pub use super::place::Output as Stream;

/// The version that this program writes; another one cannot be read.
pub const VERSION: u32 = 1;
/// A chunk is sent when it holds so much text, bytes.
pub const SEND_AT: usize = 512 * 1024;
/// The most text of one chunk, bytes.
pub const TEXT_MOST: usize = 1024 * 1024;
/// The most changes of time in one chunk.
pub const TIMES_MOST: usize = 8192;
/// The longest chunk as it is sent and kept, bytes.
pub const CHUNK_MOST: usize = TEXT_MOST + HEAD_MOST;
/// The most text of one log, bytes: what `serve` spools of all logs together.
pub const LOG_MOST: u64 = 4 << 30;

/// The longest first line of a chunk.
const HEAD_MOST: usize = 256 * 1024;

/// A piece of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where its first byte is in the log.
    pub offset: u64,
    /// From which byte of the text on lines arrived when: positions and milliseconds since 1970, both growing.
    pub times: Vec<(u32, i64)>,
    /// The text, at least one byte.
    pub text: Bytes,
}

/// Why bytes are no chunk.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// No first line, or one that is no head.
    #[error("a chunk begins with a line of JSON: version, offset, length, times")]
    Head,
    /// Written by a newer program.
    #[error("a chunk of version {0} cannot be read here")]
    Version(u32),
    /// What the head says is not so.
    #[error("a chunk's head does not fit its text")]
    Unfit,
}

/// The first line.
#[derive(Serialize, Deserialize)]
struct Head {
    version: u32,
    offset: u64,
    length: usize,
    times: Vec<(u32, i64)>,
}

impl Chunk {
    /// Where the next one begins.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.text.len() as u64)
    }

    /// As it is sent and kept: a line of JSON, and the text as it stands.
    ///
    /// # Errors
    /// Never for a value of ours.
    pub fn to_wire(&self) -> serde_json::Result<Bytes> {
        let head = Head { version: VERSION, offset: self.offset, length: self.text.len(), times: self.times.clone() };
        let mut wire = serde_json::to_vec(&head)?;
        wire.push(b'\n');
        wire.extend_from_slice(&self.text);
        Ok(Bytes::from(wire))
    }

    /// Reads [`Chunk::to_wire`].
    ///
    /// # Errors
    /// See [`ChunkError`].
    pub fn from_wire(wire: &Bytes) -> Result<Self, ChunkError> {
        let line = wire.iter().take(HEAD_MOST).position(|byte| *byte == b'\n').ok_or(ChunkError::Head)?;
        let head = wire.get(..line).unwrap_or_default();
        // The version alone first: what a newer program writes may look otherwise.
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let Versioned { version } = serde_json::from_slice(head).map_err(|_words| ChunkError::Head)?;
        if version != VERSION {
            return Err(ChunkError::Version(version));
        }
        let head: Head = serde_json::from_slice(head).map_err(|_words| ChunkError::Head)?;
        let text = wire.slice(line.saturating_add(1)..);
        let fits = head.length == text.len() && (1..=TEXT_MOST).contains(&text.len());
        let fits = fits && head.offset.checked_add(text.len() as u64).is_some();
        let in_order = head.times.windows(2).all(|pair| match pair {
            [(from, at), (next, later)] => from < next && at <= later,
            _ => true,
        });
        let within = head.times.last().is_none_or(|(from, _)| (*from as usize) < text.len());
        if !(fits && in_order && within && head.times.len() <= TIMES_MOST) {
            return Err(ChunkError::Unfit);
        }
        Ok(Self { offset: head.offset, times: head.times, text })
    }

    /// What is left behind its first `skip` bytes; none if nothing is.
    #[must_use]
    pub fn after(mut self, skip: u64) -> Option<Self> {
        let gone = usize::try_from(skip).ok().filter(|gone| *gone < self.text.len())?;
        self.text = self.text.slice(gone..);
        self.offset = self.offset.saturating_add(skip);
        let gone = u32::try_from(gone).ok()?;
        let before = self.times.iter().rfind(|(from, _)| *from <= gone).map(|(_, at)| (0, *at));
        let behind = self.times.iter().filter(|(from, _)| *from > gone).map(|(from, at)| (from - gone, *at));
        self.times = before.into_iter().chain(behind).collect();
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chunk() -> impl Strategy<Value = Chunk> {
        let marks = proptest::collection::btree_map(0..200_u32, 0..9_i64, 0..5);
        (any::<u32>(), marks, proptest::collection::vec(any::<u8>(), 1..200)).prop_map(|(offset, marks, text)| {
            let mut at = 0;
            let fitting = marks.into_iter().filter(|(from, _)| (*from as usize) < text.len());
            let times = fitting.map(|(from, more)| {
                at += more;
                (from, at)
            });
            Chunk { offset: u64::from(offset), times: times.collect(), text: Bytes::from(text) }
        })
    }

    proptest! {
        #[test]
        fn a_chunk_survives_its_way(chunk in chunk()) {
            let wire = chunk.to_wire().unwrap();
            prop_assert_eq!(Chunk::from_wire(&wire).unwrap(), chunk);
        }

        #[test]
        fn what_is_left_of_a_chunk_is_a_chunk(chunk in chunk(), skip in 0..250_u64) {
            let end = chunk.end();
            match chunk.clone().after(skip) {
                None => prop_assert!(skip >= chunk.text.len() as u64),
                Some(left) => {
                    prop_assert_eq!(left.end(), end);
                    prop_assert_eq!(&left.text, &chunk.text.slice(usize::try_from(skip).unwrap()..));
                    prop_assert_eq!(Chunk::from_wire(&left.to_wire().unwrap()).unwrap(), left);
                }
            }
        }

        #[test]
        fn any_bytes_are_a_chunk_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(chunk) = Chunk::from_wire(&Bytes::from(bytes)) {
                prop_assert!(!chunk.text.is_empty());
            }
        }
    }

    #[test]
    fn a_head_that_does_not_fit_is_refused() {
        for wire in [
            "",
            "{}",
            "{}\nx",
            r#"{"version":1,"offset":0,"length":2,"times":[]}"#,
            "{\"version\":1,\"offset\":0,\"length\":2,\"times\":[]}\nx",
            "{\"version\":1,\"offset\":0,\"length\":0,\"times\":[]}\n",
            "{\"version\":1,\"offset\":18446744073709551615,\"length\":1,\"times\":[]}\nx",
            "{\"version\":1,\"offset\":0,\"length\":1,\"times\":[[1,0]]}\nx",
            "{\"version\":1,\"offset\":0,\"length\":2,\"times\":[[1,0],[0,0]]}\nxy",
            "{\"version\":1,\"offset\":0,\"length\":2,\"times\":[[0,5],[1,4]]}\nxy",
        ] {
            assert!(Chunk::from_wire(&Bytes::from(wire)).is_err(), "{wire}");
        }
        let newer = Bytes::from("{\"version\":2,\"new\":true}\nx");
        assert!(matches!(Chunk::from_wire(&newer), Err(ChunkError::Version(2))));
    }
}
