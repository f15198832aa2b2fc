//! An object of any size on its way into the store.

use bytes::{Bytes, BytesMut};
use object_store::{MultipartUpload, PutPayload};
use tokio::task::JoinHandle;

use super::{StoreError, within};

/// Parts of a bucket's object: at least 5 MiB each and at most 10,000 of them, so objects of up to 80 GB.
pub(super) const PART: usize = 8 << 20;
/// Parts of a file: what is held of it in memory.
pub(super) const PART_OF_FILE: usize = 1 << 20;

/// Nothing is there before [`Upload::finish`]. Dropped without it, what was written is taken back.
#[derive(Debug)]
pub struct Upload {
    parts: Option<Box<dyn MultipartUpload>>,
    part: usize,
    held: BytesMut,
    written: u64,
    /// The part that is being written while the next one is gathered.
    flying: Option<JoinHandle<Result<(), StoreError>>>,
}

impl Upload {
    pub(super) fn new(parts: Box<dyn MultipartUpload>, part: usize) -> Self {
        Self { parts: Some(parts), part, held: BytesMut::new(), written: 0, flying: None }
    }

    /// Takes the next bytes; one part is written while the next is gathered, and no more than these two are held.
    ///
    /// # Errors
    /// See [`StoreError`]; the upload is then to be dropped.
    pub async fn write(&mut self, bytes: &Bytes) -> Result<(), StoreError> {
        let mut rest: &[u8] = bytes;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(self.part.saturating_sub(self.held.len())));
            self.held.extend_from_slice(now);
            rest = later;
            if self.held.len() >= self.part {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written + self.held.len() as u64
    }

    /// The last bytes go, and the object is there; its size.
    ///
    /// # Errors
    /// See [`StoreError`]; then it is not there.
    pub async fn finish(mut self) -> Result<u64, StoreError> {
        if !self.held.is_empty() || self.written == 0 {
            self.flush().await?;
        }
        self.landed().await?;
        if let Some(parts) = self.parts.as_mut() {
            within(parts.complete()).await?;
        }
        self.parts = None;
        Ok(self.written)
    }

    /// Takes everything back.
    pub async fn abort(mut self) {
        // What is still being written must not come after it.
        let _ = self.landed().await;
        if let Some(mut parts) = self.parts.take() {
            take_back(&mut parts).await;
        }
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        self.landed().await?;
        let part = self.held.split().freeze();
        let Some(parts) = self.parts.as_mut() else { return Err(StoreError::Missing) };
        self.written += part.len() as u64;
        self.flying = Some(tokio::spawn(within(parts.put_part(PutPayload::from_bytes(part)))));
        Ok(())
    }

    /// Waits for the part that is being written.
    async fn landed(&mut self) -> Result<(), StoreError> {
        match self.flying.take() {
            Some(flying) => flying.await.unwrap_or(Err(StoreError::Missing)),
            None => Ok(()),
        }
    }
}

async fn take_back(parts: &mut Box<dyn MultipartUpload>) {
    if let Err(error) = within(parts.abort()).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "a broken upload could not be taken back");
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let (Some(mut parts), Ok(runtime)) = (self.parts.take(), tokio::runtime::Handle::try_current()) else { return };
        runtime.spawn(async move { take_back(&mut parts).await });
    }
}
