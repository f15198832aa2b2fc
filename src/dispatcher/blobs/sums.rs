//! What passed through on its way into the store, remembered until it is committed.
//!
//! Losing it costs only a look at the object: another replica may be asked to commit, or this one was restarted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::id::UploadId;

/// Uploads that are remembered; the oldest of more are forgotten.
const REMEMBERED: usize = 4096;

/// Bytes and SHA-256 of uploads.
#[derive(Debug, Default)]
pub(crate) struct Sums(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    by_upload: HashMap<UploadId, State>,
    /// Counts up with each upload, so that the oldest is known.
    next: u64,
}

#[derive(Debug)]
struct State {
    age: u64,
    /// None while it is on its way.
    sum: Option<String>,
}

/// An upload on its way: no second one of its name is taken.
#[derive(Debug)]
pub(crate) struct OnItsWay<'a> {
    sums: &'a Sums,
    upload: UploadId,
    whole: bool,
}

impl Sums {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The upload begins; none when it has begun before.
    pub(crate) fn begin(&self, upload: &UploadId) -> Option<OnItsWay<'_>> {
        let mut known = self.known();
        if known.by_upload.contains_key(upload) {
            return None;
        }
        if known.by_upload.len() >= REMEMBERED {
            let whole = known.by_upload.iter().filter(|(_, state)| state.sum.is_some());
            let oldest = whole.min_by_key(|(_, state)| state.age).map(|(upload, _)| upload.clone());
            if let Some(oldest) = oldest {
                known.by_upload.remove(&oldest);
            }
        }
        known.next += 1;
        let age = known.next;
        known.by_upload.insert(upload.clone(), State { age, sum: None });
        Some(OnItsWay { sums: self, upload: upload.clone(), whole: false })
    }

    /// What passed through, if it did here.
    pub(crate) fn of(&self, upload: &UploadId) -> Option<String> {
        self.known().by_upload.get(upload).and_then(|state| state.sum.clone())
    }

    /// It is of no more use.
    pub(crate) fn forget(&self, upload: &UploadId) {
        self.known().by_upload.remove(upload);
    }
}

impl OnItsWay<'_> {
    /// It has passed.
    pub(crate) fn passed(mut self, sum: String) {
        self.whole = true;
        if let Some(state) = self.sums.known().by_upload.get_mut(&self.upload) {
            state.sum = Some(sum);
        }
    }
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        if !self.whole {
            self.sums.forget(&self.upload);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::blob::BlobKind;

    fn upload(number: u16) -> UploadId {
        let mut random = [0; 16];
        random[14..].copy_from_slice(&number.to_be_bytes());
        UploadId::new(BlobKind::Artifact, random)
    }

    #[test]
    fn one_upload_of_a_name_passes_at_a_time_and_none_after_it() {
        let sums = Sums::default();
        let first = sums.begin(&upload(1)).unwrap();
        assert!(sums.begin(&upload(1)).is_none() && sums.of(&upload(1)).is_none());
        drop(first);
        sums.begin(&upload(1)).unwrap().passed("0f".to_owned());
        assert!(sums.begin(&upload(1)).is_none());
        assert_eq!(sums.of(&upload(1)).as_deref(), Some("0f"));
        sums.forget(&upload(1));
        assert!(sums.of(&upload(1)).is_none());
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let sums = Sums::default();
        for number in 0..=u16::try_from(REMEMBERED).unwrap() {
            sums.begin(&upload(number)).unwrap().passed(number.to_string());
        }
        assert!(sums.of(&upload(0)).is_none() && sums.of(&upload(1)).is_some());
    }
}
