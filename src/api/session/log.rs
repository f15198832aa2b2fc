//! The log archive's calls.

use std::time::Duration;

use bytes::Bytes;

use super::{SessionError, SessionServer};
use crate::domain::id::ClaimId;
use crate::domain::log_chunk::{End, Stream};
use crate::domain::secret::Secret;

/// A chunk is half a megabyte, and one write in the store.
const CHUNK_WITHIN: Duration = Duration::from_secs(60);

impl SessionServer {
    /// `PUT /session/{claim}/log/{stream}/{offset}`: a chunk, as it is kept. The same again is fine.
    ///
    /// # Errors
    /// See [`SessionError`]; 404 where serve has no store.
    pub async fn put_log(
        &self,
        claim: &ClaimId,
        secret: &Secret,
        (stream, offset): (Stream, u64),
        chunk: Bytes,
    ) -> Result<(), SessionError> {
        let url = self.url(&["session", claim.as_str(), "log", stream.as_str(), &offset.to_string()]);
        let request = self.client.put(url).bearer_auth(secret.expose()).body(chunk);
        self.send(request.timeout(CHUNK_WITHIN)).await.map(drop)
    }

    /// `POST /session/{claim}/log/{stream}/end`: the log is whole.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn end_log(
        &self,
        claim: &ClaimId,
        secret: &Secret,
        stream: Stream,
        end: End,
    ) -> Result<(), SessionError> {
        let url = self.url(&["session", claim.as_str(), "log", stream.as_str(), "end"]);
        let request = self.client.post(url).bearer_auth(secret.expose()).json(&end);
        self.send(request.timeout(CHUNK_WITHIN)).await.map(drop)
    }
}
