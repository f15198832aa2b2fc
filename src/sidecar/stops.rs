//! The signals that end a build.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// TERM, INT and HUP; none of them ends the process any more.
#[derive(Debug)]
pub(super) struct Stops {
    from: From,
    seen: bool,
}

#[derive(Debug)]
enum From {
    Signals {
        term: Signal,
        int: Signal,
        hup: Signal,
    },
    #[cfg(test)]
    Hand(tokio::sync::mpsc::Receiver<i32>),
}

impl Stops {
    pub(super) fn listen() -> std::io::Result<Self> {
        let from = From::Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
        };
        Ok(Self { from, seen: false })
    }

    /// Stops that a test sends.
    #[cfg(test)]
    pub(super) fn by_hand() -> (tokio::sync::mpsc::Sender<i32>, Self) {
        let (hand, from) = tokio::sync::mpsc::channel(2);
        (hand, Self { from: From::Hand(from), seen: false })
    }

    /// The number of the next one.
    pub(super) async fn next(&mut self) -> i32 {
        let number = match &mut self.from {
            From::Signals { term, int, hup } => tokio::select! {
                _ = term.recv() => SignalKind::terminate().as_raw_value(),
                _ = int.recv() => SignalKind::interrupt().as_raw_value(),
                _ = hup.recv() => SignalKind::hangup().as_raw_value(),
            },
            #[cfg(test)]
            From::Hand(hand) => match hand.recv().await {
                Some(number) => number,
                None => std::future::pending().await,
            },
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
