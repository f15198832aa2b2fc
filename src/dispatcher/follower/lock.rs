//! The follower's lock while it is held, and how old the last proof of it is.

use std::sync::Mutex;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

use crate::registry::{LEASE_TTL, Lease, Registry};

/// How often the lease is renewed: two renewals may fail before it ends.
const RENEW_EVERY: Duration = Duration::from_secs(3);
/// A renewal that takes longer has failed; the next one is due.
const RENEW_WITHIN: Duration = Duration::from_secs(3);
/// A lock whose last proof is older is proven again before a post: a lease lives [`LEASE_TTL`] from its renewal, and
/// what is left must do for the way to the forge.
const FRESH_FOR: Duration = Duration::from_secs(LEASE_TTL.as_secs() - 3);

/// The lock, held.
#[derive(Debug)]
pub(super) struct Lock {
    pub(super) lease: Lease,
    /// By [`boot_clock`], when the last renewal that was granted was asked for.
    proven: Mutex<Duration>,
    lost: CancellationToken,
    leaving: CancellationToken,
}

/// Time since the machine started, suspension included: a process that was stopped, or a machine that slept, sees here
/// how long it was away.
pub(super) fn boot_clock() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

impl Lock {
    /// `asked` is [`boot_clock`] before the lease was asked for.
    pub(super) fn new(lease: Lease, asked: Duration) -> Self {
        let (lost, leaving) = (CancellationToken::new(), CancellationToken::new());
        Self { lease, proven: Mutex::new(asked), lost, leaving }
    }

    /// Cancelled once another may be the follower: nothing may be written or posted any more.
    pub(super) fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// It is another's, as a renewal or a write has told.
    pub(super) fn lose(&self) {
        if !self.lost.is_cancelled() {
            tracing::warn!("the follower's lock is lost");
        }
        self.lost.cancel();
    }

    /// Cancelled when this process ends: what is being sent may be settled, nothing new is begun.
    pub(super) fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    fn age(&self) -> Duration {
        // A poisoned lock only means that a thread died while it wrote one number; the oldest age is the safe answer.
        self.proven.lock().map_or(Duration::MAX, |proven| boot_clock().saturating_sub(*proven))
    }

    /// Whether the lock is ours at this moment, so that a post may be sent. Asks the registry where the last proof is too old.
    pub(super) async fn is_proven(&self, registry: &Registry) -> bool {
        if !self.lost.is_cancelled() && self.age() >= FRESH_FOR {
            self.renew(registry).await;
        }
        !self.lost.is_cancelled() && self.age() < FRESH_FOR
    }

    async fn renew(&self, registry: &Registry) {
        let asked = boot_clock();
        match tokio::time::timeout(RENEW_WITHIN, registry.renew(&self.lease)).await {
            Ok(Ok(true)) => {
                if let Ok(mut proven) = self.proven.lock() {
                    *proven = (*proven).max(asked);
                }
            }
            Ok(Ok(false)) => self.lose(),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the follower's lock could not be renewed");
            }
            Err(_elapsed) => tracing::warn!("the follower's lock could not be renewed in time"),
        }
    }

    /// Renews until the lock is lost.
    pub(super) async fn keep(&self, registry: &Registry) {
        while !self.lost.is_cancelled() {
            self.renew(registry).await;
            tokio::time::sleep(RENEW_EVERY).await;
        }
    }
}
