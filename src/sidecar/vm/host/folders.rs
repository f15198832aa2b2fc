//! Folders of this node on their way into a machine, and back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::super::link::Stream;
use super::place::{Place, PlaceError};
use crate::domain::blob::Packing;
use crate::sidecar::pack::{Incoming, Limits, PackError, Packed, Selection};

/// Bytes of a piece.
const PIECE: usize = 64 << 10;
/// No byte of a folder comes for so long.
const STILL: Duration = Duration::from_secs(60);

/// Why a folder did not come through.
#[derive(Debug, thiserror::Error)]
pub(super) enum FolderError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("the machine has broken it off")]
    Cut(#[source] io::Error),
    #[error("nothing of it has come for {} s", STILL.as_secs())]
    Still,
    #[error("it could not be put in place")]
    Place(#[source] io::Error),
}

/// Why a folder cannot go in.
#[derive(Debug, thiserror::Error)]
pub(super) enum LuggageError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error(transparent)]
    Place(#[from] PlaceError),
}

/// One that goes in, and may come back.
#[derive(Debug)]
pub(super) struct Folder {
    /// Names its stream.
    pub(super) id: String,
    /// What of it goes in.
    pub(super) files: Selection,
    /// Where it goes when it comes back; none: it stays as it is.
    pub(super) back: Option<Arc<Place>>,
}

impl Folder {
    /// All of a folder.
    pub(super) fn whole(id: &str, from: &Path, back: Option<Place>, limits: Limits) -> Result<Self, LuggageError> {
        let files = Selection::beneath(from, &[PathBuf::new()], limits)?.into_archive();
        Ok(Self { id: id.to_owned(), files, back: back.map(Arc::new) })
    }
}

/// Sends a folder into the machine.
pub(super) async fn send(files: &Selection, mut to: Stream) -> Result<(), FolderError> {
    let (pieces, verdict) = files.start()?.into_stream();
    let mut pieces = std::pin::pin!(pieces);
    while let Some(Ok(piece)) = pieces.next().await {
        to.write_all(&piece).await.map_err(FolderError::Cut)?;
    }
    match verdict.take() {
        // Given up, not ended: what is not whole is not taken for it.
        Some(Err(error)) => Err(error.into()),
        Some(Ok(_)) | None => to.shutdown().await.map_err(FolderError::Cut),
    }
}

/// Takes a folder out of the machine: all of it, or nothing. What was there before is gone then.
pub(super) async fn take(mut from: Stream, place: &Place, limits: Limits) -> Result<Packed, FolderError> {
    let draft = place.begin().map_err(FolderError::Place)?;
    let into = draft.path().join("files");
    std::fs::create_dir(&into).map_err(FolderError::Place)?;
    let mut incoming = Incoming::start(&into, Packing::Archive, "files", limits)?;
    let mut piece = vec![0; PIECE];
    loop {
        let read = timeout(STILL, from.read(&mut piece)).await.map_err(|_elapsed| FolderError::Still)?;
        let read = match read {
            Ok(read) => read,
            Err(error) => {
                // What was begun is put away before this is told: no such size comes.
                let _ = incoming.finish(Some(u64::MAX), None).await;
                return Err(FolderError::Cut(error));
            }
        };
        let bytes = Bytes::copy_from_slice(piece.get(..read).unwrap_or_default());
        // It was refused: no more of it is needed to say so.
        if read == 0 || !incoming.feed(bytes).await {
            break;
        }
    }
    let packed = incoming.finish(None, None).await?;
    place.put(&into).map_err(FolderError::Place)?;
    Ok(packed)
}
