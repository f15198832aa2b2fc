//! What is in a store: an object, what is known of it, and its bytes.

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use object_store::{GetResult, GetResultPayload, ObjectMeta};
use tokio_util::io::ReaderStream;

use super::StoreError;

/// What is read of a file at once: each time costs a turn of another thread.
const PIECE: usize = 256 << 10;

/// What is known of an object without its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub modified: Timestamp,
}

/// An object and its bytes.
pub struct Object {
    /// What is known of it.
    pub meta: Meta,
    /// Its bytes, once.
    pub bytes: BoxStream<'static, Result<Bytes, StoreError>>,
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Object").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl Meta {
    pub(super) fn of(meta: &ObjectMeta) -> Result<Self, StoreError> {
        let modified = Timestamp::from_millisecond(meta.last_modified.timestamp_millis());
        Ok(Self { size: meta.size, modified: modified.map_err(|error| StoreError::Strange(Box::new(error)))? })
    }
}

/// That something is not there is an answer.
pub(super) fn found<T>(answer: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match answer {
        Ok(it) => Ok(Some(it)),
        Err(StoreError::Missing) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The bytes of what was found. A file's own stream would come in pieces of 8 KiB.
pub(super) fn pieces(found: GetResult) -> BoxStream<'static, Result<Bytes, StoreError>> {
    match found.payload {
        GetResultPayload::File(file, _path) => {
            let mut file = tokio::fs::File::from_std(file);
            file.set_max_buf_size(PIECE);
            let pieces = ReaderStream::with_capacity(file, PIECE);
            pieces.map(|one| one.map_err(StoreError::from)).boxed()
        }
        GetResultPayload::Stream(pieces) => pieces.map(|one| one.map_err(StoreError::from)).boxed(),
    }
}
