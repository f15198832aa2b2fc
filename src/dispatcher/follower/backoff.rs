//! Waits between tries: longer each time, never quite the same.

use std::time::Duration;

/// Doubles from `first` to `most`, and takes up to a quarter off so that many do not try together.
#[derive(Debug)]
pub(super) struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
}

impl Backoff {
    pub(super) const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first }
    }

    /// The wait before the next try.
    pub(super) fn wait(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.most);
        // Without randomness the waits are merely equal.
        let quarter = getrandom::u32().map_or(0.0, |n| f64::from(n) / f64::from(u32::MAX) / 4.0);
        wait.mul_f64(1.0 - quarter)
    }

    /// After a success.
    pub(super) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_bound_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        for at_most in [1, 2, 4, 5, 5] {
            let wait = backoff.wait().as_secs_f64();
            assert!(wait <= f64::from(at_most) && wait >= f64::from(at_most) * 0.75, "{wait} of {at_most}");
        }
        backoff.reset();
        assert!(backoff.wait() <= Duration::from_secs(1));
    }
}
