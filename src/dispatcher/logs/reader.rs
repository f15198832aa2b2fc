//! One reader of a log: its own place in the spool, and the lines that are ours.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::spool::{Progress, Seat, Stage};

/// Until where a reader reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Until {
    /// The end of the build.
    End,
    /// This byte, and then this last line of ours, if any.
    Byte(u64, Option<String>),
}

/// What a reader wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    /// The first byte.
    pub(super) from: u64,
    /// Where to stop.
    pub(super) until: Until,
    /// Which of our own lines are told.
    pub(super) lines: Lines,
}

/// Which lines of ours a reader is told. Where bytes of the log are missing the log itself says so to all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// Also why nothing comes, and how it ended.
    All,
    /// Only why the rest is missing: `raw=1`.
    Missing,
    /// None: a range is counted in bytes of the log.
    None,
}

/// Reads a log at its own pace, one piece in memory at a time.
pub(super) struct Reader {
    seat: Seat,
    progress: watch::Receiver<Progress>,
    shutdown: CancellationToken,
    wish: Wish,
    at: u64,
    at_line_start: bool,
    waiting_told: Option<Arc<str>>,
    notice_told: bool,
    over: bool,
}

impl Reader {
    pub(super) fn new(seat: Seat, wish: Wish, shutdown: CancellationToken) -> Self {
        let progress = seat.watch();
        Self {
            seat,
            progress,
            shutdown,
            at: wish.from,
            wish,
            at_line_start: true,
            waiting_told: None,
            notice_told: false,
            over: false,
        }
    }

    /// The pieces, for a body. An error breaks the connection off, so that nobody takes half a log for all of it.
    pub(super) fn into_stream(self) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
        futures_util::stream::unfold(self, |mut reader| async move {
            let piece = reader.next().await?;
            Some((piece, reader))
        })
    }

    /// The next piece; none at the end.
    pub(super) async fn next(&mut self) -> Option<io::Result<Bytes>> {
        while !self.over {
            let now = self.progress.borrow_and_update().clone();
            let end = match &self.wish.until {
                Until::End => now.len,
                Until::Byte(last, _) => now.len.min(*last),
            };
            if self.at < end {
                return Some(self.bytes(end).await);
            }
            if let Some(line) = self.line(&now) {
                return Some(Ok(line));
            }
            if !self.over && !self.more().await {
                self.over = true;
                // The server stops: without an error this would look like the end of the log.
                return Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "this server is stopping")));
            }
        }
        None
    }

    async fn bytes(&mut self, end: u64) -> io::Result<Bytes> {
        let read = self.seat.read(self.at, end).await;
        match &read {
            Ok(bytes) => {
                self.at += bytes.len() as u64;
                self.at_line_start = bytes.last() == Some(&b'\n');
            }
            Err(error) => {
                tracing::error!(%error, "a spooled log could not be read");
                self.over = true;
            }
        }
        read
    }

    /// The line of ours that is due at the end of what there is, if any; notes when the reader is done.
    fn line(&mut self, now: &Progress) -> Option<Bytes> {
        if let Some(notice) = &now.notice
            && !self.notice_told
            && self.at == now.len
            && self.wish.lines != Lines::None
        {
            self.notice_told = true;
            return Some(self.framed(notice));
        }
        if let Until::Byte(last, closing) = &self.wish.until
            // Short of `last` only if the log turned out shorter; there is nothing to wait for then either.
            && (self.at >= *last || !matches!(now.stage, Stage::Open))
        {
            self.over = true;
            return closing.clone().map(|sentence| self.framed(&sentence));
        }
        match &now.stage {
            Stage::Open => self.waiting(now),
            Stage::Sealed => {
                self.over = self.wish.lines != Lines::All;
                None
            }
            Stage::Ended(ending) => {
                self.over = true;
                (self.wish.lines == Lines::All).then(|| self.framed(&ending.sentence))
            }
            Stage::Failed(error) => {
                self.over = true;
                Some(self.framed(&error.to_string()))
            }
        }
    }

    /// Why nothing comes, once for each reason, and never in the middle of a line of the log.
    fn waiting(&mut self, now: &Progress) -> Option<Bytes> {
        let why = now.waiting.as_ref()?;
        if self.wish.lines != Lines::All || !self.at_line_start || self.waiting_told.as_ref() == Some(why) {
            return None;
        }
        self.waiting_told = Some(Arc::clone(why));
        Some(self.framed(why))
    }

    fn framed(&mut self, sentence: &str) -> Bytes {
        let before = if self.at_line_start { "" } else { "\n" };
        self.at_line_start = true;
        Bytes::from(format!("{before}albatros: {sentence}\n"))
    }

    /// Waits for news; false when none will come.
    async fn more(&mut self) -> bool {
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            changed = self.progress.changed() => changed.is_ok(),
        }
    }
}
