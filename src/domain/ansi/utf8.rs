//! Characters out of bytes that come one by one.

/// The beginning of a character whose rest has not come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pending {
    bytes: [u8; 4],
    len: usize,
}

/// What a byte made of what was pending.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Read {
    /// A character is whole.
    Char(char),
    /// More must come.
    More,
    /// What was pending will never be a character, and this byte is no part of it.
    Broken,
}

impl Pending {
    pub(super) fn is_empty(self) -> bool {
        self.len == 0
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Takes a byte that may go on, or begin, a character of more than one byte.
    pub(super) fn push(&mut self, byte: u8) -> Read {
        let Some(slot) = self.bytes.get_mut(self.len) else {
            self.clear();
            return Read::Broken;
        };
        *slot = byte;
        let bytes = self.bytes.get(..=self.len).unwrap_or_default();
        match std::str::from_utf8(bytes) {
            Ok(text) => {
                let read = text.chars().next().map_or(Read::Broken, Read::Char);
                self.clear();
                read
            }
            Err(error) if error.error_len().is_none() => {
                self.len += 1;
                Read::More
            }
            Err(_) => {
                self.clear();
                Read::Broken
            }
        }
    }
}
