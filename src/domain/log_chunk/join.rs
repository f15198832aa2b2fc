//! Chunks put together: in order of their offsets, however often some were sent.

use super::Chunk;

/// How far a log has been read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Joiner {
    at: u64,
}

/// What a chunk adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// So many bytes before it are not there.
    pub missing: u64,
    /// What of it is new.
    pub chunk: Option<Chunk>,
}

impl Joiner {
    /// How many bytes there were, with those that were missing.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next chunk, by offset. What was there before is passed over.
    pub fn take(&mut self, chunk: Chunk) -> Joined {
        let missing = chunk.offset.saturating_sub(self.at);
        let skip = self.at.saturating_sub(chunk.offset);
        self.at = self.at.max(chunk.end());
        Joined { missing, chunk: chunk.after(skip) }
    }

    /// How many bytes are missing up to where the log ended.
    #[must_use]
    pub fn missing_to(&self, length: u64) -> u64 {
        length.saturating_sub(self.at)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;

    fn of(text: &Bytes, from: usize, to: usize) -> Chunk {
        Chunk { offset: from as u64, times: Vec::new(), text: text.slice(from..to) }
    }

    proptest! {
        /// However chunks overlap, and whichever are missing: each byte once, in its place, and the rest counted.
        #[test]
        fn each_byte_comes_once(ranges in proptest::collection::vec((0..100_usize, 1..30_usize), 0..20)) {
            let text = Bytes::from((0..130).map(|n| u8::try_from(n).unwrap()).collect::<Vec<_>>());
            let mut chunks: Vec<_> = ranges.iter().map(|(from, len)| of(&text, *from, from + len)).collect();
            chunks.sort_by_key(|chunk| chunk.offset);
            let mut joiner = Joiner::default();
            let mut at = 0;
            for chunk in chunks {
                let joined = joiner.take(chunk);
                at += joined.missing;
                if let Some(chunk) = joined.chunk {
                    prop_assert_eq!(chunk.offset, at);
                    let from = usize::try_from(at).unwrap();
                    prop_assert_eq!(&chunk.text, &text.slice(from..from + chunk.text.len()));
                    at = chunk.end();
                }
            }
            prop_assert_eq!(joiner.at(), at);
            prop_assert_eq!(joiner.missing_to(at + 3), 3);
        }
    }
}
