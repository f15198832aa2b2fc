//! The newest events of a build: so many, and no more.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

/// Events that are kept for who comes late; at 4 KiB each it is 1 MiB.
const KEPT: usize = 256;

/// The ring; each event is kept as the bytes that its readers get.
#[derive(Debug)]
pub(crate) struct Ring {
    kept: Mutex<Kept>,
    last: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    frames: VecDeque<Bytes>,
    /// The id of the newest; the first event is 1.
    last: u64,
}

impl Default for Ring {
    fn default() -> Self {
        Self { kept: Mutex::default(), last: watch::channel(0).0 }
    }
}

impl Ring {
    /// Adds an event, whose type and data (JSON on one line) were checked; answers its id.
    pub(super) fn add(&self, kind: &str, data: &str) -> u64 {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        let id = kept.last;
        kept.frames.push_back(Bytes::from(format!("id: {id}\nevent: {kind}\ndata: {data}\n\n")));
        if kept.frames.len() > KEPT {
            kept.frames.pop_front();
        }
        drop(kept);
        self.last.send_replace(id);
        id
    }

    /// Tells when there are more.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.last.subscribe()
    }

    /// The event behind the one with the id `cursor`, which moves on; if it is gone, how many are missing.
    pub(super) fn after(&self, cursor: &mut u64) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.last + 1 - kept.frames.len() as u64;
        // An id that was never given is one of another time: everything is new.
        if *cursor > kept.last {
            *cursor = 0;
        }
        if *cursor + 1 < first {
            let missed = first - 1 - *cursor;
            *cursor = first - 1;
            return Some(Bytes::from(format!(
                "id: {}\nevent: albatros.gap\ndata: {{\"missed\":{missed}}}\n\n",
                first - 1
            )));
        }
        let at = usize::try_from(*cursor + 1 - first).ok()?;
        let frame = kept.frames.get(at)?.clone();
        *cursor += 1;
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(ring: &Ring, mut cursor: u64) -> String {
        let mut text = String::new();
        while let Some(frame) = ring.after(&mut cursor) {
            text.push_str(std::str::from_utf8(&frame).unwrap());
        }
        text
    }

    #[test]
    fn a_reader_gets_what_lies_behind_its_last_event() {
        let ring = Ring::default();
        assert_eq!(all(&ring, 0), "");
        assert_eq!(ring.add("a", "1"), 1);
        assert_eq!(ring.add("b", "2"), 2);
        assert_eq!(all(&ring, 0), "id: 1\nevent: a\ndata: 1\n\nid: 2\nevent: b\ndata: 2\n\n");
        assert_eq!(all(&ring, 1), "id: 2\nevent: b\ndata: 2\n\n");
        assert_eq!(all(&ring, 2), "");
        assert_eq!(all(&ring, 99), all(&ring, 0));
    }

    #[test]
    fn what_is_gone_is_told_as_a_gap() {
        let ring = Ring::default();
        for _ in 0..KEPT + 10 {
            ring.add("a", "1");
        }
        let text = all(&ring, 4);
        assert!(text.starts_with("id: 10\nevent: albatros.gap\ndata: {\"missed\":6}\n\nid: 11\n"), "{text:.120}");
        assert_eq!(text.matches("event: a\n").count(), KEPT);
        assert!(!all(&ring, 10).contains("gap"));
    }
}
