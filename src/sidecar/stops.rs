//! The signals that end a build.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// TERM, INT and HUP; none of them ends the process any more.
#[derive(Debug)]
pub(super) struct Stops {
    term: Signal,
    int: Signal,
    hup: Signal,
    seen: bool,
}

impl Stops {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            seen: false,
        })
    }

    /// The number of the next one.
    pub(super) async fn next(&mut self) -> i32 {
        let number = tokio::select! {
            _ = self.term.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.int.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.hup.recv() => SignalKind::hangup().as_raw_value(),
        };
        self.seen = true;
        number
    }

    /// Whether there was one: somebody waits for the end, and not for long.
    pub(super) fn seen(&self) -> bool {
        self.seen
    }
}

/// A shell's word for death by a signal: 128 and its number.
pub(super) fn after_signal(signal: i32) -> u8 {
    u8::try_from(signal).unwrap_or(127).saturating_add(128)
}
