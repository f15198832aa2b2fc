//! What a machine writes to its console and its process to its standard error: the end of it is kept, for when the machine
//! is lost.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _};

/// So much of its end is kept, bytes.
const KEPT: usize = 64 << 10;
/// Read at once, bytes.
const PIECE: usize = 4 << 10;

/// The last of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Console(Arc<Mutex<VecDeque<u8>>>);

impl Console {
    /// Reads from there until its end, which is the machine's.
    pub(super) fn watch(&self, mut from: impl AsyncRead + Send + Unpin + 'static) {
        let this = self.clone();
        tokio::spawn(async move {
            let mut piece = vec![0; PIECE];
            while let Ok(read @ 1..) = from.read(&mut piece).await {
                this.add(piece.get(..read).unwrap_or_default());
            }
        });
    }

    fn add(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(bytes);
        let over = kept.len().saturating_sub(KEPT);
        kept.drain(..over);
    }

    /// It, line by line, with nothing in it that a terminal would obey.
    pub(super) fn harmless(&self) -> Vec<String> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = kept.iter().copied().collect();
        drop(kept);
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        lines.filter(|line| !line.is_empty()).map(harmless).collect()
    }
}

/// A line of a stranger's.
pub(super) fn harmless(line: &str) -> String {
    let shown = |c: char| match c {
        '\t' => vec![c],
        c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
            c.escape_default().collect()
        }
        c => vec![c],
    };
    line.chars().flat_map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_no_terminal_obeys_it() {
        let console = Console::default();
        console.add(&vec![b'x'; 2 * KEPT]);
        console.add(b"\r\n\x1b]0;title\x07\xff panic\r\n");
        let lines = console.harmless();
        assert_eq!(lines.last().unwrap(), "\\u{1b}]0;title\\u{7}\u{fffd} panic");
        assert!(lines.iter().map(String::len).sum::<usize>() < KEPT + 100);
    }
}
