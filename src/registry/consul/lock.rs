//! The follower's lock: a session that holds a key.

use std::sync::PoisonError;

use bytes::Bytes;

use super::{ConsulRegistry, Lease, RegistryError};
use crate::api::consul::{Consistency, ConsulError};
use crate::registry::LEASE_TTL;

/// For people who look at the key; who holds it is told by its session.
const VALUE: &[u8] = b"albatros follower";

pub(super) async fn acquire(at: &ConsulRegistry) -> Result<Option<Lease>, RegistryError> {
    let lock = at.lock_key();
    // A look first, so that those who wait do not make a session each time.
    if at.consul.get(&lock, Consistency::Consistent).await?.is_some_and(|pair| pair.session.is_some()) {
        return Ok(None);
    }
    let created = at.consul.create_session("albatros", LEASE_TTL).await;
    remember(at, &created);
    let session = created?;
    let answer = at.consul.acquire(&lock, &session, Bytes::from_static(VALUE)).await;
    let ours = match answer {
        Ok(ours) => ours,
        // The answer is lost, not always the lock.
        Err(error) if !error.surely_undone() => holds(at, &session).await?,
        Err(error) => {
            discard(at, &session).await;
            return Err(error.into());
        }
    };
    if ours {
        return Ok(Some(Lease { session }));
    }
    discard(at, &session).await;
    Ok(None)
}

pub(super) async fn renew(at: &ConsulRegistry, lease: &Lease) -> Result<bool, RegistryError> {
    // A session may live on after somebody has removed the key by hand.
    Ok(at.consul.renew_session(&lease.session).await? && holds(at, &lease.session).await?)
}

/// Whether our token may make sessions is known only from trying; readiness tells people.
fn remember(at: &ConsulRegistry, created: &Result<String, ConsulError>) {
    let mut denied = at.denied_session.lock().unwrap_or_else(PoisonError::into_inner);
    *denied = match created {
        Err(ConsulError::Denied(words)) => Some(words.clone()),
        Ok(_) | Err(ConsulError::Http(_) | ConsulError::Refused(_) | ConsulError::TooLarge(_)) => None,
    };
}

async fn holds(at: &ConsulRegistry, session: &str) -> Result<bool, ConsulError> {
    let pair = at.consul.get(&at.lock_key(), Consistency::Consistent).await?;
    Ok(pair.and_then(|pair| pair.session).is_some_and(|holder| holder == session))
}

/// A session that is of no use; when this fails it ends by itself.
async fn discard(at: &ConsulRegistry, session: &str) {
    if let Err(error) = at.consul.destroy_session(session).await {
        tracing::debug!(%error, "session left to end by itself");
    }
}
