//! What the script writes, on its way to the task's log: never more of it in memory than a few pieces, and never in the
//! way of anything else.

use std::io::Write;

use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::super::link::Stream;

/// Bytes of a piece.
const PIECE: usize = 16 << 10;
/// Pieces that wait to be written.
const AHEAD: usize = 4;

/// Where the script's output goes.
pub(super) type Sink = Box<dyn Write + Send>;

/// Copies a stream until its end. A log that nobody reads holds up this stream, and the process when it ends does not wait
/// for it.
pub(super) fn copy(mut from: Stream, mut to: Sink) -> JoinHandle<()> {
    let (sender, mut pieces) = mpsc::channel::<Bytes>(AHEAD);
    let (done, written) = oneshot::channel();
    // A thread of its own: the runtime waits for its own ones at its end.
    let writing = std::thread::Builder::new().name("output".to_owned()).spawn(move || {
        while let Some(piece) = pieces.blocking_recv() {
            // A log that is gone takes nothing: the script is not to fail by that.
            let _ = to.write_all(&piece).and_then(|()| to.flush());
        }
        let _ = done.send(());
    });
    tokio::spawn(async move {
        let mut piece = vec![0; PIECE];
        while let Ok(read @ 1..) = from.read(&mut piece).await {
            let bytes = Bytes::copy_from_slice(piece.get(..read).unwrap_or_default());
            if sender.send(bytes).await.is_err() {
                break;
            }
        }
        drop(sender);
        // What has been taken is written before the end is told.
        if writing.is_ok() {
            let _ = written.await;
        }
    })
}
