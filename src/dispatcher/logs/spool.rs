//! One log on disk while it is read: bytes in, bytes out by offset, and how far it is.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::lines::Lines;
use super::recent::Recent;
use crate::domain::ansi::Layout;
use crate::domain::outcome::Outcome;
use crate::engine::EngineError;

/// What is read from the file at once, and the most that one reader holds.
pub(super) const BLOCK: u64 = 64 * 1024;
/// Blocks kept for other readers of the same part: 1 MiB a log.
const BLOCKS: usize = 16;

/// How far a log is. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// Bytes that can be read.
    pub(super) len: u64,
    /// Why nothing comes now.
    pub(super) waiting: Option<Arc<str>>,
    /// Why nothing more will come though it should, or why there is nothing at all; told after the last byte.
    pub(super) notice: Option<Arc<str>>,
    /// How far the upstream is.
    pub(super) stage: Stage,
}

/// How far the upstream of a log is.
#[derive(Debug, Clone, Default)]
pub(super) enum Stage {
    /// Being read.
    #[default]
    Open,
    /// All that there is has been read; the build's verdict is not known yet.
    Sealed,
    /// The build is over.
    Ended(Arc<Ending>),
    /// The engine would not give the log.
    Failed(Arc<EngineError>),
}

impl Stage {
    /// Whether it stays so, also for who comes again.
    pub(super) fn is_final(&self) -> bool {
        match self {
            Self::Open | Self::Sealed => false,
            Self::Ended(_) => true,
            Self::Failed(error) => match error.as_ref() {
                EngineError::Unavailable(_) => false,
                EngineError::Unknown(_) | EngineError::Refused(_) => true,
            },
        }
    }
}

/// How a build ended, for the last line of its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ending {
    /// The sentence.
    pub(super) sentence: String,
    /// The outcome; none when it could not be learned in time.
    pub(super) outcome: Option<Outcome>,
}

/// The room that all spools share, in bytes.
#[derive(Debug)]
pub(super) struct Room {
    used: AtomicU64,
    limit: u64,
}

impl Room {
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { used: AtomicU64::new(0), limit })
    }

    /// Takes `bytes` if there is room for them.
    fn take(&self, bytes: u64) -> bool {
        let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    fn give_back(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Why bytes were not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum AppendError {
    /// All spools together are as large as they may be.
    #[error("the spools are full")]
    Full,
    /// The disk would not take it.
    #[error("the spool cannot be written")]
    Write(#[source] io::Error),
}

/// One log in an unlinked file: it is gone with the process, whatever ends it.
#[derive(Debug)]
pub(super) struct Spool {
    file: Arc<File>,
    recent: Mutex<Recent>,
    blocks: tokio::sync::Mutex<VecDeque<(u64, Bytes)>>,
    progress: watch::Sender<Progress>,
    readers: watch::Sender<usize>,
    room: Arc<Room>,
    held: AtomicU64,
    /// Where its lines are, once a browser has asked.
    lines: OnceLock<Box<Lines>>,
    /// Cancelled when the hub has given this spool up; only one without readers is.
    pub(super) given_up: CancellationToken,
}

impl Spool {
    /// An empty one in `folder`.
    pub(super) fn create(folder: &Path, room: Arc<Room>) -> io::Result<Arc<Self>> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Arc::new(Self {
            file: Arc::new(file),
            recent: Mutex::default(),
            blocks: tokio::sync::Mutex::default(),
            progress: watch::Sender::new(Progress::default()),
            readers: watch::Sender::new(0),
            room,
            held: AtomicU64::new(0),
            lines: OnceLock::new(),
            given_up: CancellationToken::new(),
        }))
    }

    /// Adds bytes at the end and wakes the readers. Only the one feed of this spool may call it.
    pub(super) async fn append(&self, bytes: Bytes) -> Result<(), AppendError> {
        let size = bytes.len() as u64;
        if size == 0 {
            return Ok(());
        }
        if !self.room.take(size) {
            return Err(AppendError::Full);
        }
        self.held.fetch_add(size, Ordering::Relaxed);
        let offset = self.progress.borrow().len;
        let (file, copy) = (Arc::clone(&self.file), bytes.clone());
        // Off the runtime's threads: a disk that is behind makes writers wait.
        let written = tokio::task::spawn_blocking(move || file.write_all_at(&copy, offset)).await;
        written.map_err(io::Error::other).flatten().map_err(AppendError::Write)?;
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).push(offset, bytes);
        self.progress.send_modify(|progress| {
            progress.len = offset + size;
            progress.waiting = None;
        });
        Ok(())
    }

    /// Says why nothing comes now, until the next byte.
    pub(super) fn wait(&self, why: &str) {
        self.progress.send_modify(|progress| progress.waiting = Some(Arc::from(why)));
    }

    /// Says after the last byte why no more comes; the first reason stays.
    pub(super) fn notice(&self, why: &str) {
        self.progress.send_modify(|progress| {
            progress.notice.get_or_insert_with(|| Arc::from(why));
        });
    }

    /// Sets how far the upstream is.
    pub(super) fn advance(&self, stage: Stage) {
        self.progress.send_modify(|progress| {
            progress.stage = stage;
            progress.waiting = None;
        });
    }

    /// Whether the engine's stream is still open.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.progress.borrow().stage, Stage::Open)
    }

    /// Watches the progress.
    pub(super) fn watch(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Its lines, of which each has `layout` before it.
    pub(super) fn lines(&self, layout: Layout) -> &Lines {
        self.lines.get_or_init(|| Box::new(Lines::new(layout)))
    }

    /// How many read it.
    pub(super) fn readers(&self) -> usize {
        *self.readers.borrow()
    }

    /// Whether nobody reads it.
    pub(super) fn is_idle(&self) -> bool {
        self.readers() == 0
    }

    /// Ends when nobody has read for `pause`.
    pub(super) async fn idle_for(&self, pause: Duration) {
        let mut readers = self.readers.subscribe();
        loop {
            // The sender lives in `self`, so neither wait can fail. What `wait_for` gives is a lock: let go of it here.
            drop(readers.wait_for(|count| *count == 0).await);
            tokio::select! {
                () = tokio::time::sleep(pause) => return,
                _changed = readers.changed() => {}
            }
        }
    }

    /// Bytes from `offset`, at least one and at most up to `end`, which must have been written.
    pub(super) async fn read(&self, offset: u64, end: u64) -> io::Result<Bytes> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).from(offset);
        let mut bytes = match recent {
            Some(bytes) => bytes,
            None => self.read_block(offset, end).await?,
        };
        bytes.truncate(usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX));
        if bytes.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(bytes)
    }

    /// The rest of the block that holds `offset`. A whole block is read once for all who are at it.
    async fn read_block(&self, offset: u64, end: u64) -> io::Result<Bytes> {
        let start = offset - offset % BLOCK;
        if self.progress.borrow().len < start + BLOCK {
            return self.read_file(offset, end.min(start + BLOCK)).await;
        }
        let mut blocks = self.blocks.lock().await;
        let skip = usize::try_from(offset - start).unwrap_or(usize::MAX);
        if let Some((_, block)) = blocks.iter().find(|(at, _)| *at == start) {
            return Ok(block.slice(skip..));
        }
        let block = self.read_file(start, start + BLOCK).await?;
        if blocks.len() >= BLOCKS {
            blocks.pop_front();
        }
        blocks.push_back((start, block.clone()));
        Ok(block.slice(skip..))
    }

    async fn read_file(&self, from: u64, to: u64) -> io::Result<Bytes> {
        let file = Arc::clone(&self.file);
        let size = usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?;
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = vec![0; size];
            file.read_exact_at(&mut bytes, from)?;
            Ok(Bytes::from(bytes))
        });
        read.await.map_err(io::Error::other).flatten()
    }

    /// Gives the room back at once; the file itself goes with the last reader and the feed.
    pub(super) fn release(&self) {
        self.room.give_back(self.held.swap(0, Ordering::Relaxed));
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        self.release();
    }
}

/// A reader's place: as long as it is held, the spool and its upstream stay.
#[derive(Debug)]
pub(super) struct Seat {
    spool: Arc<Spool>,
    _place: OwnedSemaphorePermit,
}

impl Seat {
    /// At `spool`, in one of the places that all readers share.
    pub(super) fn take(spool: Arc<Spool>, place: OwnedSemaphorePermit) -> Self {
        spool.readers.send_modify(|count| *count += 1);
        Self { spool, _place: place }
    }
}

impl std::ops::Deref for Seat {
    type Target = Spool;
    fn deref(&self) -> &Spool {
        &self.spool
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.spool.readers.send_modify(|count| *count = count.saturating_sub(1));
    }
}
