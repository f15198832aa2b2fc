//! The follower: the one replica that finishes claims and posts statuses.
//!
//! ```text
//! lock ─▶ reign ─▶ course (one an open record) ─▶ waiting: held, claimed ─▶ building ─▶ ending ─▶ done/
//!           ▲ └─ turn: which of those that wait go on    └──────────┴─ queue ─▶ post ─▶ forge
//!    list, hints, time
//! ```
//!
//! What may be killed where. A record is the whole state; each step reads it, does one thing, and writes what came of
//! it by compare-and-set under the lock, so the next follower goes on from whatever was written last:
//! - before or after `dispatch`: the claim is the dispatch's idempotency token, so a repeat finds the same child; past
//!   the hour, and before any error or cancellation without a child, the engine is asked for a child with this token;
//! - before or after a turn is given: it is given by the write of `claimed`, which the next follower finds, or has not
//!   been given;
//! - before or after `stop` is written: the engine is told only after it, and told again by whoever reads it;
//! - between a status's intent and its confirmation: it may have arrived. The next follower waits out the lease's
//!   time, so that a post on its way has arrived too, looks at what the forge has, and posts only what is missing or
//!   overtaken. The same is done after an answer that was lost;
//! - after `ended`: the outcome, times and so the sentence stand in the record, whoever posts it;
//! - after the final post: it is found at the forge, and the record moves on to `done/` in one transaction;
//! - a process that was stopped and goes on: its writes fail for the lock's session, and each post is preceded by a
//!   look at the lock's age on a clock that counts suspension. The one request it was sending may arrive late; the
//!   final statuses of builds that were taken over are therefore looked at again for a while.

mod backoff;
mod building;
mod child;
mod course;
mod decide;
mod ending;
mod expiry;
mod forges;
mod lock;
mod post;
mod queue;
mod recheck;
mod reign;
mod runners;
mod supersede;
mod turn;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::SharedApp;
use backoff::Backoff;
use lock::{Lock, boot_clock};
use reign::Reign;

/// Runs for the lock, and follows while it is held. Returns after `shutdown`, with the lock given up.
pub(crate) async fn run(app: SharedApp, shutdown: CancellationToken) {
    let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(3));
    while !shutdown.is_cancelled() {
        let asked = boot_clock();
        let acquired = tokio::select! {
            () = shutdown.cancelled() => return,
            acquired = app.registry.acquire() => acquired,
        };
        match acquired {
            Ok(Some(lease)) => {
                backoff.reset();
                tracing::info!("this replica is the follower");
                app.metrics.follower.set(1);
                let lock = Arc::new(Lock::new(lease, asked));
                Reign::new(SharedApp::clone(&app), Arc::clone(&lock)).hold(&shutdown).await;
                app.metrics.follower.set(0);
                app.metrics.open.clear();
                app.metrics.set_runners([]);
                tracing::info!("this replica is no longer the follower");
                if let Err(error) = app.registry.release(&lock.lease).await {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the lock ends by itself");
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the follower's lock could not be asked for");
            }
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(backoff.wait()) => {}
        }
    }
}
