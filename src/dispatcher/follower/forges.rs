//! Questions to forges: some at once for each of them, so that a storm of changes is none for a forge, and one that does
//! not answer keeps nobody waiting who asks another.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Questions to one forge at once.
const AT_ONCE: usize = 8;

/// The forges that are being asked; no more than configurations name.
#[derive(Debug, Default)]
pub(super) struct Forges(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Forges {
    /// A place among those that ask the forge at this address; none where there was none in time.
    pub(super) async fn place(&self, forge: &Url, within: Duration) -> Option<OwnedSemaphorePermit> {
        let places = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let places = all.entry(forge.authority().to_owned());
            Arc::clone(places.or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))))
        };
        tokio::time::timeout(within, places.acquire_owned()).await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_forge_that_is_asked_too_much_keeps_nobody_from_another() {
        let forges = Forges::default();
        let (slow, quick): (Url, Url) = ("https://a.example/x".parse().unwrap(), "https://b.example".parse().unwrap());
        let within = Duration::from_secs(20);
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(forges.place(&slow, within).await.unwrap());
        }
        assert!(forges.place(&slow, within).await.is_none());
        assert!(forges.place(&quick, within).await.is_some());
        held.pop();
        assert!(forges.place(&slow, within).await.is_some());
    }
}
