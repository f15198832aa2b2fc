//! Artifacts and caches between a directory and the build's controller: tried again, from the start, while serve or the
//! store is gone; and said.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep, timeout};

use super::pack::{Incoming, Limits, PackError, Packed, Selection};
use super::{reasons, say};
use crate::api::controller::{Controller, ControllerError, Parcel, Put};
use crate::api::http::HttpError;
use crate::api::session::blobs::Wanted;
use crate::domain::blob::BlobKind;
use crate::domain::id::BlobId;
use crate::domain::label::Label;

/// For so long it is tried again.
const PATIENCE: Duration = Duration::from_secs(5 * 60);
/// The first pause, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A controller that does not answer at all is on this very machine: it is gone. What arrives wrong so often is wrong.
const SILENCES: u32 = 5;
/// So often it is said that it is tried again.
const SAID_EVERY: Duration = Duration::from_secs(30);
/// Longer than the controller lets anything stand still.
const STILL: Duration = Duration::from_secs(15 * 60);
/// No byte of a download comes for so long.
const SILENT: Duration = Duration::from_secs(90);

/// Why something was not kept, or not fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    /// It lies in the files.
    #[error(transparent)]
    Files(#[from] PackError),
    /// The controller says no, or gives no answer.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// There is another one.
    #[error("there is another {} {id} already: it is written once", kind.word())]
    There {
        /// What for.
        kind: BlobKind,
        /// Under which id.
        id: BlobId,
    },
    /// Nothing moves any more.
    #[error("nothing of it has moved for {} minutes", STILL.as_secs() / 60)]
    Still,
    /// It broke off on its way.
    #[error("it broke off on its way")]
    Cut(#[source] HttpError),
}

/// How far it is, for who watches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    done: AtomicU64,
    whole: AtomicU64,
}

impl Counter {
    /// Bytes so far, and all of them where that is known.
    pub(crate) fn now(&self) -> (u64, Option<u64>) {
        let whole = self.0.whole.load(Ordering::Relaxed);
        (self.0.done.load(Ordering::Relaxed), (whole > 0).then_some(whole))
    }

    fn begin(&self, whole: Option<u64>) {
        self.0.done.store(0, Ordering::Relaxed);
        self.0.whole.store(whole.unwrap_or_default(), Ordering::Relaxed);
    }

    fn add(&self, bytes: usize) {
        self.0.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Ends when nothing has moved for too long.
    async fn still(&self) {
        let mut last = self.now().0;
        loop {
            sleep(STILL).await;
            let now = self.now().0;
            if now == last {
                return;
            }
            last = now;
        }
    }
}

/// Sends a selection to be kept; there is all of it then, or nothing.
///
/// # Errors
/// See [`KeepError`].
pub(crate) async fn upload(
    controller: &Controller,
    (kind, id): (BlobKind, &BlobId),
    selection: &Selection,
    counter: &Counter,
) -> Result<Put, KeepError> {
    let mut again = Again::new(format!("{} {id}", kind.word()));
    loop {
        let error = match once(controller, (kind, id), selection, counter).await {
            Ok(put) => return Ok(put),
            Err(error) => error,
        };
        if is_there(&error) {
            // The answer to an earlier try may have been lost.
            return match controller.blob_label((kind, id), &Wanted::default()).await? {
                Some(label) if again.tries > 0 && is_same(selection, &label).await? => Ok(Put::Kept(label)),
                Some(_) | None => Err(KeepError::There { kind, id: id.clone() }),
            };
        }
        again.after(error).await?;
    }
}

async fn once(
    controller: &Controller,
    (kind, id): (BlobKind, &BlobId),
    selection: &Selection,
    counter: &Counter,
) -> Result<Put, KeepError> {
    let outgoing = selection.start()?;
    let (packing, name, size) = (outgoing.packing, outgoing.name.clone(), outgoing.size);
    counter.begin(size);
    let (pieces, verdict) = outgoing.into_stream();
    let counted = counter.clone();
    let pieces = pieces.inspect(move |piece| counted.add(piece.as_ref().map_or(0, bytes::Bytes::len)));
    let parcel = Parcel { kind, id, packing, name: name.as_deref(), size };
    let put = tokio::select! {
        put = controller.put_blob(parcel, reqwest::Body::wrap_stream(pieces)) => put,
        () = counter.still() => return Err(KeepError::Still),
    };
    match (put, verdict.take()) {
        (Ok(put), _) => Ok(put),
        (Err(_broken), Some(Err(error))) => Err(error.into()),
        (Err(error), _) => Err(error.into()),
    }
}

fn is_there(error: &KeepError) -> bool {
    matches!(error, KeepError::Controller(error) if error.status().is_some_and(|status| status.as_u16() == 409))
}

/// Whether what is kept is what would be sent.
async fn is_same(selection: &Selection, label: &Label) -> Result<bool, PackError> {
    let (pieces, verdict) = selection.start()?.into_stream();
    let mut pieces = std::pin::pin!(pieces);
    let mut sum = Sha256::new();
    while let Some(piece) = pieces.next().await {
        sum.update(piece.unwrap_or_default());
    }
    match verdict.take() {
        Some(Err(error)) => Err(error),
        Some(Ok(_)) | None => Ok(hex::encode(sum.finalize()) == label.sha256),
    }
}

/// Something that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// What it was.
    pub(crate) label: Label,
    /// What came out of it.
    pub(crate) packed: Packed,
}

/// Fetches a blob and puts its files into `target`; none where there is none. There is all of it then, or nothing.
///
/// # Errors
/// See [`KeepError`].
pub(crate) async fn fetch(
    controller: &Controller,
    (kind, id): (BlobKind, &BlobId),
    wanted: &Wanted,
    target: &Path,
    counter: &Counter,
) -> Result<Option<Fetched>, KeepError> {
    let mut again = Again::new(format!("{} {id}", kind.word()));
    loop {
        let error = match fetch_once(controller, (kind, id), wanted, target, counter).await {
            Ok(fetched) => return Ok(fetched),
            Err(error) => error,
        };
        again.after(error).await?;
    }
}

async fn fetch_once(
    controller: &Controller,
    (kind, id): (BlobKind, &BlobId),
    wanted: &Wanted,
    target: &Path,
    counter: &Counter,
) -> Result<Option<Fetched>, KeepError> {
    let Some((label, mut response)) = controller.blob((kind, id), wanted).await? else { return Ok(None) };
    counter.begin(Some(label.size));
    let name = label.name.as_deref().unwrap_or(id.as_str());
    let mut incoming = Incoming::start(target, label.packing, name, Limits::default())?;
    loop {
        let piece = match timeout(SILENT, response.chunk()).await {
            Ok(piece) => piece.map_err(|error| KeepError::Cut(HttpError::Cut(error.without_url())))?,
            Err(_elapsed) => return Err(KeepError::Still),
        };
        let Some(piece) = piece else { break };
        counter.add(piece.len());
        if !incoming.feed(piece).await {
            // It was refused: no more of it is needed to say so.
            return incoming.finish(None, None).await.map(|_| None).map_err(KeepError::from);
        }
    }
    let packed = incoming.finish(Some(label.size), Some(&label.sha256)).await?;
    Ok(Some(Fetched { label, packed }))
}

/// Tries, and the pauses between them.
struct Again {
    what: String,
    tries: u32,
    silences: u32,
    begun: Instant,
    pause: Duration,
    said: Option<Instant>,
}

impl Again {
    fn new(what: String) -> Self {
        Self { what, tries: 0, silences: 0, begun: Instant::now(), pause: PAUSE, said: None }
    }

    /// Waits, if it is worth trying again.
    async fn after(&mut self, error: KeepError) -> Result<(), KeepError> {
        let passes = match &error {
            KeepError::Controller(ControllerError::NoAnswer(_)) | KeepError::Files(PackError::Sum(_)) => {
                self.silences += 1;
                self.silences < SILENCES
            }
            KeepError::Controller(error) => error.waiting(),
            KeepError::Cut(_) | KeepError::Still => true,
            KeepError::Files(_) | KeepError::There { .. } => false,
        };
        if self.tries == 0 {
            self.begun = Instant::now();
        }
        self.tries += 1;
        if !passes || self.begun.elapsed() >= PATIENCE {
            return Err(error);
        }
        if self.said.is_none_or(|said| said.elapsed() >= SAID_EVERY) {
            let left = PATIENCE.saturating_sub(self.begun.elapsed()).as_secs();
            say(&format!("{}: {}; it is tried again for {left} s", self.what, reasons(&error)));
            self.said = Some(Instant::now());
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use axum::Router;
    use axum::http::StatusCode;
    use tokio::net::UnixListener;

    use super::*;
    use crate::api::controller::ControllerAddress;
    use crate::domain::secret::Secret;

    /// A controller that answers everything so, and how often it was asked.
    fn controller(room: &Path, status: StatusCode) -> (Controller, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let socket = room.join("sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let router = Router::new().fallback(async move |body: axum::body::Body| {
            count.fetch_add(1, Ordering::Relaxed);
            drop(axum::body::to_bytes(body, usize::MAX).await);
            status
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        (Controller::new(&ControllerAddress::Unix(socket), Secret::new("t")).unwrap(), asked)
    }

    async fn put(controller: &Controller, room: &Path) -> (KeepError, Duration) {
        std::fs::write(room.join("file"), "hello").unwrap();
        let selection = Selection::beneath(room, &["file".into()], Limits::default()).unwrap();
        let (begun, id) = (Instant::now(), "a".parse().unwrap());
        // A paused clock jumps past sockets: in small steps only.
        tokio::spawn(async {
            loop {
                sleep(Duration::from_millis(250)).await;
            }
        });
        let put = upload(controller, (BlobKind::Artifact, &id), &selection, &Counter::default()).await;
        (put.unwrap_err(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_stays_away_is_given_up_after_five_minutes() {
        let room = tempfile::tempdir().unwrap();
        let (controller, asked) = controller(room.path(), StatusCode::SERVICE_UNAVAILABLE);
        let (error, took) = put(&controller, room.path()).await;
        assert!(matches!(error, KeepError::Controller(error) if error.waiting()));
        assert!(took >= PATIENCE && asked.load(Ordering::Relaxed) > 1, "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_final() {
        let room = tempfile::tempdir().unwrap();
        let (controller, asked) = controller(room.path(), StatusCode::PAYLOAD_TOO_LARGE);
        let (error, _took) = put(&controller, room.path()).await;
        assert!(matches!(error, KeepError::Controller(_)), "{error}");
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_controller_that_is_gone_is_given_up_soon() {
        let room = tempfile::tempdir().unwrap();
        let nobody = ControllerAddress::Unix(room.path().join("nobody"));
        let (error, took) = put(&Controller::new(&nobody, Secret::new("t")).unwrap(), room.path()).await;
        assert!(matches!(error, KeepError::Controller(ControllerError::NoAnswer(_))), "{error}");
        assert!(took < PATIENCE, "{took:?}");
    }
}
