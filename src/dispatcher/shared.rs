//! One read for all who want the same at once.

use std::sync::Arc;
use std::time::Instant;

use crate::registry::RegistryError;

/// The newest read of something from the registry. The lock is held while it is made, so that all others wait for it.
#[derive(Debug)]
pub(crate) struct Shared<T>(tokio::sync::Mutex<Option<Newest<T>>>);

#[derive(Debug)]
struct Newest<T> {
    begun: Instant,
    /// None: the read failed.
    value: Option<Arc<T>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self(tokio::sync::Mutex::default())
    }
}

impl<T> Shared<T> {
    /// What a read found that began at `since` or later: somebody else's, or `read`, which is not begun otherwise and is
    /// given what was found before. Who has waited for a read that failed is told so, and does not try the same again
    /// behind all others.
    pub(crate) async fn get<R>(
        &self,
        since: Instant,
        read: impl FnOnce(Option<Arc<T>>) -> R,
    ) -> Result<Arc<T>, RegistryError>
    where
        R: Future<Output = Result<Arc<T>, RegistryError>>,
    {
        let mut newest = self.0.lock().await;
        if let Some(newest) = newest.as_ref()
            && newest.begun >= since
        {
            let failed = || RegistryError::Unavailable("the same read has just failed".into());
            return newest.value.clone().ok_or_else(failed);
        }
        let begun = Instant::now();
        let value = read(newest.as_ref().and_then(|newest| newest.value.clone())).await;
        *newest = Some(Newest { begun, value: value.as_ref().ok().cloned() });
        value
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    /// A read that counts itself and ends when all others wait.
    async fn read(reads: &AtomicUsize, found: bool) -> Result<Arc<usize>, RegistryError> {
        let number = reads.fetch_add(1, Ordering::Relaxed) + 1;
        tokio::task::yield_now().await;
        if found { Ok(Arc::new(number)) } else { Err(RegistryError::Refused("no".to_owned())) }
    }

    #[tokio::test]
    async fn all_who_ask_at_once_are_answered_by_one_read_and_later_ones_by_another() {
        let (shared, reads) = (Shared::default(), AtomicUsize::new(0));
        let since = Instant::now();
        let all = futures_util::future::join_all((0..100).map(|_| shared.get(since, |_| read(&reads, true)))).await;
        assert!(all.into_iter().all(|got| *got.unwrap() == 1));
        assert_eq!(*shared.get(Instant::now(), |_| read(&reads, true)).await.unwrap(), 2);
    }

    #[tokio::test]
    async fn a_read_that_fails_fails_for_all_who_waited_for_it_and_for_nobody_else() {
        let (shared, reads) = (Shared::default(), AtomicUsize::new(0));
        let since = Instant::now();
        let all = futures_util::future::join_all((0..100).map(|_| shared.get(since, |_| read(&reads, false)))).await;
        assert!(all.iter().all(Result::is_err));
        assert_eq!(*shared.get(Instant::now(), |_| read(&reads, true)).await.unwrap(), 2);
    }
}
