//! Nomad's public keys, kept: read when they are first needed, when a token names one that is not among them, and when
//! they have grown old.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Mutex;

use super::super::IdentifyError;
use crate::api::nomad::Nomad;
use crate::domain::identity::{Identity, IdentityError, Keys};

/// A key that Nomad has withdrawn is taken for so long at most.
const FRESH: Duration = Duration::from_secs(300);
/// The least time between two reads: anybody can send tokens that name keys nobody has.
const PAUSE: Duration = Duration::from_secs(3);

/// The keys as they were last read. The lock is held while they are, so that all others wait for that one read.
#[derive(Debug, Default)]
pub(super) struct KeyRing(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    keys: Option<(Instant, Arc<Keys>)>,
    tried: Option<Instant>,
}

impl KeyRing {
    /// What a token says, once it is checked.
    pub(super) async fn verify(&self, nomad: &Nomad, token: &str) -> Result<Identity, IdentifyError> {
        let asked = Instant::now();
        let keys = self.keys(nomad, None).await?;
        match keys.verify(token, Timestamp::now()) {
            Err(IdentityError::UnknownKey) => {
                let keys = self.keys(nomad, Some(asked)).await?;
                Ok(keys.verify(token, Timestamp::now())?)
            }
            verified => Ok(verified?),
        }
    }

    /// The keys, as they were at `since` or later where that is said: those that are kept may lack the newest.
    async fn keys(&self, nomad: &Nomad, since: Option<Instant>) -> Result<Arc<Keys>, IdentifyError> {
        let mut ring = self.0.lock().await;
        let just_tried = ring.tried.is_some_and(|tried| tried.elapsed() < PAUSE);
        if let Some((read, keys)) = &ring.keys
            && read.elapsed() < FRESH
            && since.is_none_or(|since| *read >= since)
        {
            return Ok(Arc::clone(keys));
        }
        if just_tried {
            return Err(IdentifyError::Unavailable("Nomad's keys were asked for a moment ago".into()));
        }
        let begun = Instant::now();
        ring.tried = Some(begun);
        let keys = nomad.signing_keys().await.map_err(|error| IdentifyError::Unavailable(Box::new(error)))?;
        let keys = Arc::new(keys);
        ring.keys = Some((begun, Arc::clone(&keys)));
        Ok(keys)
    }
}
