//! A body of unknown size on its way to a store that must be told it: it waits on the disk, in a file without a name.

use std::fs::File;
use std::io::{self, Seek as _};
use std::path::Path;
use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::io::AsyncWriteExt as _;
use tokio_util::io::ReaderStream;

/// How much of it is read at once, bytes.
const PIECE: usize = 256 * 1024;

/// Why nothing was spooled.
#[derive(Debug, thiserror::Error)]
pub(super) enum SpoolError {
    #[error("the file for what is to be uploaded cannot be written")]
    Disk(#[source] io::Error),
    #[error("the body ended too early")]
    Source,
}

/// Takes all of it; gives it back from its start.
pub(super) async fn take(
    folder: Option<&Path>,
    pieces: impl Stream<Item = io::Result<Bytes>>,
) -> Result<File, SpoolError> {
    let made = folder.map_or_else(tempfile::tempfile, tempfile::tempfile_in);
    let mut file = tokio::fs::File::from_std(made.map_err(SpoolError::Disk)?);
    let mut pieces = pin!(pieces);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|_noted| SpoolError::Source)?;
        file.write_all(&piece).await.map_err(SpoolError::Disk)?;
    }
    file.flush().await.map_err(SpoolError::Disk)?;
    let mut file = file.into_std().await;
    file.rewind().map_err(SpoolError::Disk)?;
    Ok(file)
}

/// A spooled body, for sending.
pub(super) fn body(file: File) -> axum::body::Body {
    axum::body::Body::from_stream(ReaderStream::with_capacity(tokio::fs::File::from_std(file), PIECE))
}
