//! Ended changes go after a week.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::lock::Lock;
use crate::dispatcher::SharedApp;
use crate::registry::{RegistryError, Written};

/// How long an ended change is known: as long a redelivery is answered with its outcome.
const DONE_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How often they are looked through; a busy week is many of them.
const LOOK_EVERY: Duration = Duration::from_secs(3_600);

/// Removes what is over age, as long as the lock is held.
pub(super) async fn keep_expiring(app: SharedApp, lock: Arc<Lock>) {
    while !lock.lost().is_cancelled() {
        if let Err(error) = expire(&app, &lock).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "ended changes could not be looked through");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn expire(app: &SharedApp, lock: &Lock) -> Result<(), RegistryError> {
    let now = Timestamp::now();
    for (claim, done) in app.registry.all_done().await? {
        if now.duration_since(done.finished) <= DONE_FOR {
            continue;
        }
        match app.registry.expire(&claim, &lock.lease).await? {
            Written::Yes(_) | Written::Conflict => {}
            Written::LeaseLost => {
                lock.lose();
                return Ok(());
            }
        }
    }
    Ok(())
}
