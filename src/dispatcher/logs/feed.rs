//! The one task that fills a spool from the engine, waits for the build's verdict, and closes when nobody reads.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;

use super::hub::{LogHub, LogKey, Upstream};
use super::spool::{AppendError, BLOCK, Spool, Stage};
use crate::engine::{LogPiece, LogSource};

/// Fills `spool` until its log has ended, then keeps it for late readers; ends when nobody wants it any more.
pub(super) async fn run(hub: LogHub, key: LogKey, spool: Arc<Spool>, upstream: Upstream) {
    tokio::select! {
        () = spool.given_up.cancelled() => {}
        () = hub.shutdown().cancelled() => hub.forget(&key, &spool),
        () = retired(&hub, &key, &spool, hub.limits().idle) => {}
        kept = fill(&hub, &spool, upstream) => match kept {
            Kept::Yes => linger(&hub, &key, &spool).await,
            Kept::No => hub.forget(&key, &spool),
        },
    }
}

/// Whether a spool is of use to those who come later.
enum Kept {
    Yes,
    No,
}

async fn linger(hub: &LogHub, key: &LogKey, spool: &Arc<Spool>) {
    tokio::select! {
        () = spool.given_up.cancelled() => {}
        () = hub.shutdown().cancelled() => hub.forget(key, spool),
        () = retired(hub, key, spool, hub.limits().linger) => {}
    }
}

/// Ends when nobody has read for `pause` and the hub has let the spool go.
async fn retired(hub: &LogHub, key: &LogKey, spool: &Arc<Spool>, pause: Duration) {
    loop {
        spool.idle_for(pause).await;
        if hub.retire(key, spool) {
            return;
        }
    }
}

async fn fill(hub: &LogHub, spool: &Spool, upstream: Upstream) -> Kept {
    let source = match upstream.source.await {
        Ok(source) => source,
        Err(error) => {
            spool.advance(Stage::Failed(Arc::new(error)));
            return Kept::No;
        }
    };
    pour(hub, spool, source).await;
    spool.advance(Stage::Sealed);
    let ending = upstream.ending.await;
    spool.advance(Stage::Ended(Arc::new(ending)));
    Kept::Yes
}

/// Moves all pieces into the spool; returns when the engine's stream has ended, and closes it.
async fn pour(hub: &LogHub, spool: &Spool, source: LogSource) {
    let mut intake = Intake { source, next: None };
    let mut writer = Writer { hub, spool, at_line_start: true, cut: false };
    loop {
        match intake.next().await {
            Some(LogPiece::Data(bytes)) => writer.data(bytes).await,
            Some(LogPiece::Gap(what)) => writer.line(&what).await,
            Some(LogPiece::Waiting(why)) => spool.wait(&why),
            Some(LogPiece::End) => return,
            Some(LogPiece::Never(why)) => return spool.notice(&why),
            None => return spool.notice("the log broke off here and could not be read further"),
        }
    }
}

/// Pieces from the engine, small ones that are there already put together.
struct Intake {
    source: LogSource,
    next: Option<LogPiece>,
}

impl Intake {
    async fn next(&mut self) -> Option<LogPiece> {
        let first = match self.next.take() {
            Some(piece) => piece,
            None => self.source.next().await?,
        };
        match first {
            LogPiece::Data(bytes) => Some(LogPiece::Data(self.with_more(bytes))),
            other @ (LogPiece::Gap(_) | LogPiece::Waiting(_) | LogPiece::End | LogPiece::Never(_)) => Some(other),
        }
    }

    /// `bytes` and those that can be had without waiting, up to a block: one write and one waking for all of them.
    fn with_more(&mut self, bytes: Bytes) -> Bytes {
        let most = usize::try_from(BLOCK).unwrap_or(usize::MAX);
        let mut all: Option<BytesMut> = None;
        let mut size = bytes.len();
        while size < most {
            match self.source.next().now_or_never() {
                Some(Some(LogPiece::Data(more))) => {
                    size += more.len();
                    all.get_or_insert_with(|| BytesMut::from(&*bytes)).extend_from_slice(&more);
                }
                Some(Some(other)) => {
                    self.next = Some(other);
                    break;
                }
                // An end without a word is seen again by the next call.
                Some(None) | None => break,
            }
        }
        all.map_or(bytes, BytesMut::freeze)
    }
}

/// Appends, and after a cut only listens for the end.
struct Writer<'a> {
    hub: &'a LogHub,
    spool: &'a Spool,
    at_line_start: bool,
    cut: bool,
}

impl Writer<'_> {
    async fn data(&mut self, bytes: Bytes) {
        if self.cut {
            return;
        }
        let ends_line = bytes.last().map_or(self.at_line_start, |last| *last == b'\n');
        let mut result = self.spool.append(bytes.clone()).await;
        if matches!(result, Err(AppendError::Full)) && self.hub.make_room() {
            result = self.spool.append(bytes).await;
        }
        match result {
            Ok(()) => self.at_line_start = ends_line,
            Err(error) => self.cut(&error),
        }
    }

    /// A sentence of ours in the log's own place, on a line of its own: what is missing is never hidden.
    async fn line(&mut self, sentence: &str) {
        let before = if self.at_line_start { "" } else { "\n" };
        self.data(Bytes::from(format!("{before}albatros: {sentence}\n"))).await;
    }

    fn cut(&mut self, error: &AppendError) {
        self.cut = true;
        self.spool.notice(match error {
            AppendError::Full => "the log is cut here: the logs being read take all the room they may have together",
            AppendError::Write(cause) => {
                tracing::error!(%cause, "a log could not be spooled");
                "the log is cut here: the disk that logs are spooled on did not take more"
            }
        });
    }
}
