//! How much passes through at once: each stream costs a part of an object in memory, and a file or a connection.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Uploads at once; each holds at most 1 MiB for a file, 8 MiB for a bucket.
const UP: usize = 32;
/// Downloads at once.
const DOWN: usize = 64;
/// Archives that are looked through for one file at once: that costs a processor.
const UNPACKED: usize = 4;

/// Places for streams. A full house is told at once: whoever waits keeps a connection too.
#[derive(Debug)]
pub(crate) struct Streams {
    up: Arc<Semaphore>,
    down: Arc<Semaphore>,
    unpacked: Arc<Semaphore>,
}

impl Default for Streams {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self { up: places(UP), down: places(DOWN), unpacked: places(UNPACKED) }
    }
}

impl Streams {
    /// A place for an upload.
    pub(crate) fn up(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.up).try_acquire_owned().ok()
    }

    /// A place for a download.
    pub(crate) fn down(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.down).try_acquire_owned().ok()
    }

    /// A place to look through an archive.
    pub(crate) fn unpacked(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.unpacked).try_acquire_owned().ok()
    }
}
