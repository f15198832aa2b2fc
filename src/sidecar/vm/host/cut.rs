//! What ends a step of a run before it is done.

use tokio::time::{Instant, sleep_until};

use crate::sidecar::stops::Stops;

/// Why a step was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// By this signal.
    Stopped(i32),
    /// The life of the machine is over, which begins before there is one.
    Over,
}

/// Takes a step, unless it is cut off.
pub(super) async fn unless_cut<T>(stops: &mut Stops, end: Instant, step: impl Future<Output = T>) -> Result<T, Cut> {
    tokio::select! {
        biased;
        stop = stops.next() => Err(Cut::Stopped(stop)),
        done = step => Ok(done),
        () = sleep_until(end) => Err(Cut::Over),
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_step_without_end_is_ended_by_a_stop_or_with_the_life() {
        let (hand, mut stops) = Stops::by_hand();
        let now = Instant::now();
        assert_eq!(unless_cut(&mut stops, now, pending::<()>()).await, Err(Cut::Over));
        let late = now + Duration::from_secs(3_600);
        assert_eq!(unless_cut(&mut stops, late, async { 1 }).await, Ok(1));
        hand.send(15).await.unwrap();
        assert_eq!(unless_cut(&mut stops, late, pending::<()>()).await, Err(Cut::Stopped(15)));
    }
}
