//! Streams between host and guest, over one connection.
//!
//! ```text
//! Link::open ─▶ channel (128 KiB, credit) ─▶ frames, in turns ═══ one pair of bytes streams ═══▶ frames ─▶ channel ─▶ Incoming::next
//! ```
//! | file | what it is |
//! |---|---|
//! | `purpose` | what a stream is for, and who may open it |
//! | `frame` | what is on the wire |
//! | `channel`, `channels` | the bytes and credit of one stream; all of them. No I/O |
//! | `stream` | one end of a stream, to be read and written |
//!
//! Neither side believes the other: streams, bytes kept for each, purposes and refusals are bounded, whatever their frames
//! are cut into, and a frame that is none ends the link. A stream that was given up is read as an error, never as its end:
//! what was cut off is not taken for whole.

mod channel;
mod channels;
mod frame;
mod purpose;
mod stream;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, ReadHalf, WriteHalf};
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use channels::Channels;
use frame::{HEAD, Head, PIECE};

pub use purpose::{Purpose, Side};
pub use stream::Stream;

/// Streams that either side has opened at once.
pub const STREAMS: usize = 64;
/// What is read from the connection at once: it is a socket or a device, and small frames are many.
const READ_AHEAD: usize = 64 << 10;

/// Why there is no stream, or no link any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// As many streams as may be open are.
    #[error("too many streams to the other side of the machine are open")]
    Busy,
    /// The other side opens such streams.
    #[error("such a stream is not opened by this side of the machine")]
    Purpose,
    /// The connection has ended.
    #[error("the connection between the machine and its host has ended")]
    Ended,
    /// The connection is broken.
    #[error("the connection between the machine and its host is broken ({0})")]
    Broken(std::io::ErrorKind),
    /// What came was not what the other side may send.
    #[error("the other side of the machine's connection sent {0}")]
    Wrong(&'static str),
}

/// What the other side may not send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wrong(&'static str);

/// One side of a link. It is open until every clone, the [`Incoming`] and every [`Stream`] of it is gone.
#[derive(Debug, Clone)]
pub struct Link(Arc<Held>);

/// The streams that the other side opens.
#[derive(Debug)]
pub struct Incoming {
    streams: mpsc::Receiver<(Purpose, Stream)>,
}

#[derive(Debug)]
struct Held {
    shared: Arc<Shared>,
    _driver: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    channels: Mutex<Channels>,
    /// There may be something to be sent.
    more: Notify,
    lost: CancellationToken,
}

impl Shared {
    fn channels(&self) -> MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, why: LinkError) {
        self.channels().lose(why);
        self.lost.cancel();
    }
}

impl Link {
    /// Begins to carry streams over `io`, on a task of the runtime that this is called in.
    pub fn start(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, side: Side) -> (Self, Incoming) {
        let shared = Arc::new(Shared {
            channels: Mutex::new(Channels::new(side)),
            more: Notify::new(),
            lost: CancellationToken::new(),
        });
        // There are never more streams of the other side than fit into it.
        let (opened, streams) = mpsc::channel(STREAMS);
        let link = Self(Arc::new_cyclic(|held| {
            let (held, shared) = (held.clone(), Arc::clone(&shared));
            let driver = tokio::spawn({
                let shared = Arc::clone(&shared);
                async move {
                    let (reading, writing) = tokio::io::split(io);
                    let why = tokio::select! {
                        why = read(&shared, reading, &opened, &held) => why,
                        why = write(&shared, writing) => why,
                    };
                    shared.lose(why);
                }
            });
            Held { shared, _driver: AbortOnDropHandle::new(driver) }
        }));
        (link, Incoming { streams })
    }

    /// Opens a stream. Nothing is awaited: the other side may refuse it later, and it then reads as reset.
    ///
    /// # Errors
    /// When too many are open, this side does not open such ones, or the link is gone.
    pub fn open(&self, purpose: Purpose) -> Result<Stream, LinkError> {
        let id = self.0.shared.channels().open(purpose)?;
        self.0.shared.more.notify_one();
        Ok(Stream::new(id, Arc::clone(&self.0)))
    }

    /// Waits until the link is gone, and says why.
    pub async fn closed(&self) -> LinkError {
        self.0.shared.lost.cancelled().await;
        self.0.shared.channels().lost.unwrap_or(LinkError::Ended)
    }
}

impl Incoming {
    /// The next stream that the other side opens; none: the link is gone.
    pub async fn next(&mut self) -> Option<(Purpose, Stream)> {
        self.streams.recv().await
    }
}

/// Takes what comes, until it cannot be taken.
async fn read<T: AsyncRead>(
    shared: &Shared,
    from: ReadHalf<T>,
    opened: &mpsc::Sender<(Purpose, Stream)>,
    held: &std::sync::Weak<Held>,
) -> LinkError {
    let mut from = BufReader::with_capacity(READ_AHEAD, from);
    let mut body = vec![0; PIECE];
    loop {
        let mut head = [0; HEAD];
        if let Err(error) = from.read_exact(&mut head).await {
            return broken(&error);
        }
        let Some(head) = Head::parse(head) else { return LinkError::Wrong("what is no frame") };
        let body = body.get_mut(..head.follows()).unwrap_or_default();
        if let Err(error) = from.read_exact(body).await {
            return broken(&error);
        }
        let taken = shared.channels().take(head, body);
        match taken {
            Ok(None) => {}
            Ok(Some((id, purpose))) => {
                let Some(held) = held.upgrade() else { return LinkError::Ended };
                // Where nobody takes it, it is dropped, and so refused.
                let _ = opened.try_send((purpose, Stream::new(id, held)));
            }
            Err(Wrong(what)) => return LinkError::Wrong(what),
        }
        shared.more.notify_one();
    }
}

/// Sends what there is, in turns.
async fn write<T: AsyncWrite>(shared: &Shared, mut to: WriteHalf<T>) -> LinkError {
    let mut wire = Vec::with_capacity(HEAD + PIECE);
    loop {
        wire.clear();
        if !shared.channels().next(&mut wire) {
            if let Err(error) = to.flush().await {
                return broken(&error);
            }
            shared.more.notified().await;
            continue;
        }
        if let Err(error) = to.write_all(&wire).await {
            return broken(&error);
        }
    }
}

fn broken(error: &std::io::Error) -> LinkError {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => LinkError::Ended,
        kind => LinkError::Broken(kind),
    }
}
