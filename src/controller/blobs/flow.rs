//! Bytes on their way out: counted, summed, and never still for long.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use http_body_util::BodyExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, interval};

/// serve, or the store, takes nothing for so long: the upload is given up.
const STILL: Duration = Duration::from_secs(120);
/// The same where the sender sends nothing; a script may still be making it.
const SILENT: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);

/// An upload's state, seen from both ends.
#[derive(Debug, Default)]
pub(super) struct Flow {
    count: AtomicU64,
    /// The next piece is being waited for.
    pulling: AtomicBool,
    sum: Mutex<Sha256>,
    broken: Mutex<Option<Broken>>,
}

/// Why the sender's bytes ended too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// It has gone.
    Cut,
    /// There were more than are taken.
    TooLarge(u64),
}

/// What came through, once all of it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Through {
    pub(super) size: u64,
    pub(super) sha256: String,
}

impl Flow {
    fn took(&self, piece: &[u8], most: u64) -> Result<(), Broken> {
        let count = self.count.fetch_add(piece.len() as u64, Ordering::Relaxed).saturating_add(piece.len() as u64);
        if count > most {
            return Err(Broken::TooLarge(most));
        }
        self.sum.lock().unwrap_or_else(PoisonError::into_inner).update(piece);
        Ok(())
    }

    fn broke(&self, why: Broken) -> io::Error {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        io::Error::other("the upload ended too early")
    }

    /// Why the sender's bytes ended too early, if they did.
    pub(super) fn broken(&self) -> Option<Broken> {
        *self.broken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What came through.
    pub(super) fn through(&self) -> Through {
        let sum = self.sum.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Through { size: self.count.load(Ordering::Relaxed), sha256: hex::encode(sum.finalize()) }
    }

    /// Ends when nothing has moved for too long.
    pub(super) async fn still(&self) {
        let mut looks = interval(LOOK);
        let (mut last, mut since) = (0, Instant::now());
        loop {
            looks.tick().await;
            let count = self.count.load(Ordering::Relaxed);
            if count != last {
                (last, since) = (count, Instant::now());
            }
            let most = if self.pulling.load(Ordering::Relaxed) { SILENT } else { STILL };
            if since.elapsed() >= most {
                return;
            }
        }
    }
}

/// A body's pieces, at most so many bytes, each noted in `flow`.
pub(super) fn watched(body: Body, most: u64, flow: &Arc<Flow>) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    let flow = Arc::clone(flow);
    unfold(Some(body), move |body| {
        let flow = Arc::clone(&flow);
        async move {
            let mut body = body?;
            loop {
                flow.pulling.store(true, Ordering::Relaxed);
                let frame = body.frame().await;
                flow.pulling.store(false, Ordering::Relaxed);
                let data = match frame? {
                    // Trailers are no data.
                    Ok(frame) => match frame.into_data() {
                        Ok(data) => data,
                        Err(_trailers) => continue,
                    },
                    Err(_cut) => return Some((Err(flow.broke(Broken::Cut)), None)),
                };
                return match flow.took(&data, most) {
                    Ok(()) => Some((Ok(data), Some(body))),
                    Err(why) => Some((Err(flow.broke(why)), None)),
                };
            }
        }
    })
}
