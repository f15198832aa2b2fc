//! A stop: whose it is, and how long what follows it may take.

use tokio::time::Instant;

use super::plan::Within;
use super::{Ending, Session};
use crate::domain::vm::{Course, ToGuest};

/// The first stop that the script was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) signal: i32,
    /// When it is enough.
    pub(super) until: Instant,
}

impl Stop {
    fn at(now: Instant, signal: i32, within: &Within) -> Self {
        Self { signal, until: now + within.grace }
    }

    /// The script has ended: what it has made has time of its own to come back.
    pub(super) fn coming_back(self, now: Instant, within: &Within) -> Self {
        Self { until: self.until.max(now + within.back), ..self }
    }
}

impl Session<'_> {
    /// The first stop is the script's, and whoever sends it again means the same. Another signal, or one before there is a
    /// script, ends the machine.
    pub(super) fn stop(&mut self, signal: i32) -> Option<Ending> {
        if self.stopped.is_some_and(|first| first.signal == signal) {
            return None;
        }
        let runs = self.handshake.course() == Course::Running;
        if let (true, None, Some(words)) = (runs, self.stopped, &self.words)
            && words.try_send(ToGuest::Stop { signal }).is_ok()
        {
            self.stopped = Some(Stop::at(Instant::now(), signal, &self.within));
            return None;
        }
        Some(Ending::Stopped(self.stopped.map_or(signal, |first| first.signal)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_a_script_has_made_comes_back_however_late_it_has_ended() {
        let within = Within::of(Duration::ZERO, Duration::from_secs(8));
        let now = Instant::now();
        let stop = Stop::at(now, 15, &within);
        assert_eq!(stop.coming_back(now, &within), stop, "one that ends at once has the rest of its time");
        let late = stop.until - Duration::from_millis(1);
        assert_eq!(stop.coming_back(late, &within), Stop { signal: 15, until: late + within.back });
    }
}
