//! The object store: files below a folder, or a bucket.
//!
//! Only keys that [`crate::domain::place`] makes go in; what is listed is read back by it. Nothing is there before it is whole, and a call that does not end
//! well leaves nothing, or what a sweep finds ([`Store::sweep_unfinished`]).

mod error;
mod files;
mod list;
mod object;
mod s3;
mod settings;
mod upload;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::aws::AmazonS3;
use object_store::path::Path;
use object_store::signer::{SignedUrlOptions, Signer as _};
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use reqwest::Method;
use url::Url;

use super::meter::{Callee, Meter};
use crate::domain::place::Key;

pub use error::StoreError;
pub use list::Listed;
pub use object::{Meta, Object};
pub use settings::{S3Keys, S3Settings, StoreAddress, StoreAddressError, StoreSettings};
pub use upload::Upload;

use files::Files;
use object::{found, pieces};

/// A small thing is there or not within this; a stream goes on as long as bytes do.
const WITHIN: Duration = Duration::from_secs(30);

/// A store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    kind: Kind,
    prefix: Path,
    meter: Meter,
}

#[derive(Debug, Clone)]
enum Kind {
    Files(Arc<Files>),
    S3 {
        signer: Arc<AmazonS3>,
        signs: bool,
    },
    #[cfg(test)]
    Memory,
}

impl Store {
    /// Opens a store: of files the folder is made where only its last part is missing. A bucket is not asked yet.
    ///
    /// # Errors
    /// When the folder cannot be used, or the settings contradict each other.
    pub fn open(settings: &StoreSettings) -> Result<Self, StoreError> {
        match &settings.address {
            StoreAddress::Files(root) => {
                let files = Files::open(root)?;
                Ok(Self::of(files.objects(), Kind::Files(Arc::new(files)), Path::default()))
            }
            StoreAddress::S3 { bucket, prefix } => {
                let bucket = Arc::new(s3::open(bucket, &settings.s3)?);
                let prefix = Path::parse(prefix).map_err(|error| StoreError::Settings(Box::new(error)))?;
                let kind = Kind::S3 { signer: Arc::clone(&bucket), signs: settings.signs };
                Ok(Self::of(bucket, kind, prefix))
            }
        }
    }

    fn of(objects: Arc<dyn ObjectStore>, kind: Kind, prefix: Path) -> Self {
        Self { objects, kind, prefix, meter: Meter::default() }
    }

    /// The same, measured by `meter`.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter, ..self }
    }

    /// One that is gone with the process.
    #[cfg(test)]
    pub(crate) fn memory() -> Self {
        let objects = Arc::new(object_store::memory::InMemory::new());
        Self::of(objects, Kind::Memory, Path::default())
    }

    /// Writes a small object, in place of what was there.
    ///
    /// # Errors
    /// See [`StoreError`]; then it is there whole, or not at all.
    pub async fn put(&self, key: &Key, bytes: impl Into<Bytes>) -> Result<(), StoreError> {
        self.there().await?;
        let path = self.path(key);
        self.within("write an object", self.objects.put(&path, PutPayload::from_bytes(bytes.into()))).await.map(drop)
    }

    /// Writes a small object that is not there yet; whether it did. Of two that write it in the same moment to a bucket
    /// that passes over the condition (seen: Garage 2.5), the later one wins and both are told that they did.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn put_new(&self, key: &Key, bytes: impl Into<Bytes>) -> Result<bool, StoreError> {
        self.there().await?;
        let bytes = PutPayload::from_bytes(bytes.into());
        let path = self.path(key);
        if matches!(self.kind, Kind::S3 { .. }) && self.head(key).await?.is_some() {
            return Ok(false);
        }
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.within("write an object", self.objects.put_opts(&path, bytes.clone(), options)).await {
            Ok(_) => Ok(true),
            Err(StoreError::There) => Ok(false),
            // Not every bucket knows the condition.
            Err(StoreError::Unknown(_)) => {
                self.within("write an object", self.objects.put(&path, bytes)).await.map(|_| true)
            }
            Err(error) => Err(error),
        }
    }

    /// Begins to write an object of any size.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn upload(&self, key: &Key) -> Result<Upload, StoreError> {
        self.there().await?;
        let path = self.path(key);
        let part = match self.kind {
            Kind::Files(_) => upload::PART_OF_FILE,
            Kind::S3 { .. } => upload::PART,
            #[cfg(test)]
            Kind::Memory => upload::PART,
        };
        self.within("begin an upload", self.objects.put_multipart(&path)).await.map(|parts| Upload::new(parts, part))
    }

    /// An object and its bytes, if it is there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn get(&self, key: &Key) -> Result<Option<Object>, StoreError> {
        self.there().await?;
        let Some(found) = found(self.within("read an object", self.objects.get(&self.path(key))).await)? else {
            return Ok(None);
        };
        let meta = Meta::of(&found.meta)?;
        Ok(Some(Object { meta, bytes: pieces(found) }))
    }

    /// A small object, whole.
    ///
    /// # Errors
    /// See [`StoreError`]; [`StoreError::Large`] for one of more than `most` bytes.
    pub async fn read(&self, key: &Key, most: u64) -> Result<Option<Bytes>, StoreError> {
        Ok(self.read_with(key, most).await?.map(|(_, bytes)| bytes))
    }

    /// A small object, whole, and what is known of it.
    ///
    /// # Errors
    /// As [`Store::read`].
    pub async fn read_with(&self, key: &Key, most: u64) -> Result<Option<(Meta, Bytes)>, StoreError> {
        self.there().await?;
        let read = async {
            let Some(found) = found(self.objects.get(&self.path(key)).await.map_err(StoreError::from))? else {
                return Ok(None);
            };
            let meta = Meta::of(&found.meta)?;
            if meta.size > most {
                return Err(StoreError::Large { size: meta.size, most });
            }
            Ok(Some((meta, found.bytes().await.map_err(StoreError::from)?)))
        };
        self.measured("read an object", read).await
    }

    /// What is known of an object, if it is there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn head(&self, key: &Key) -> Result<Option<Meta>, StoreError> {
        self.there().await?;
        found(self.within("look for an object", self.objects.head(&self.path(key))).await)?
            .map(|meta| Meta::of(&meta))
            .transpose()
    }

    /// Deletes an object; one that is not there is fine.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn delete(&self, key: &Key) -> Result<(), StoreError> {
        self.there().await?;
        found(self.within("remove an object", self.objects.delete(&self.path(key))).await).map(drop)
    }

    /// An address at which anybody may do just this for a while: `GET` an object, or `PUT` one, of
    /// whatever size. None where the store is files, or where builds do not reach it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sign(&self, what: Signed, key: &Key, good_for: Duration) -> Result<Option<Url>, StoreError> {
        let Kind::S3 { signer, signs: true } = &self.kind else { return Ok(None) };
        let path = self.path(key);
        let (method, query) = match what {
            Signed::Put => (Method::PUT, Vec::new()),
            Signed::Get { name } => {
                let mut query = vec![("response-content-type".to_owned(), "application/octet-stream".to_owned())];
                if let Some(name) = name {
                    let told = format!("attachment; filename=\"{name}\"");
                    query.push(("response-content-disposition".to_owned(), told));
                }
                (Method::GET, query)
            }
        };
        let options = SignedUrlOptions::new().with_query(query);
        let url = within(signer.signed_url_opts(method, &path, good_for, &options)).await?;
        Ok(Some(url))
    }

    /// Whether builds go to the store by themselves.
    #[must_use]
    pub fn signs(&self) -> bool {
        matches!(self.kind, Kind::S3 { signs: true, .. })
    }

    /// Deletes what broken writes have left before `before`, where the store does not do so by itself; how many. A bucket's own rule has to see to it (the
    /// README says how): there they are not seen.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sweep_unfinished(&self, before: Timestamp) -> Result<usize, StoreError> {
        match &self.kind {
            Kind::Files(files) => files.sweep_unfinished(before).await,
            Kind::S3 { .. } => Ok(0),
            #[cfg(test)]
            Kind::Memory => Ok(0),
        }
    }

    /// The object store's own library would make a folder that is gone anew, on whatever lies below a lost mount.
    async fn there(&self) -> Result<(), StoreError> {
        match &self.kind {
            Kind::Files(files) => files.there().await,
            Kind::S3 { .. } => Ok(()),
            #[cfg(test)]
            Kind::Memory => Ok(()),
        }
    }

    async fn within<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, object_store::Error>>,
    ) -> Result<T, StoreError> {
        self.measured(what, async { Ok(call.await?) }).await
    }

    async fn measured<T>(
        &self,
        what: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let running = self.meter.begin(Callee::Store, what);
        let came = tokio::time::timeout(WITHIN, call).await.unwrap_or(Err(StoreError::Late));
        running.end_with(came.as_ref().err().and_then(StoreError::fault));
        came
    }

    fn path(&self, key: &Key) -> Path {
        self.below(key.as_str())
    }

    fn below(&self, text: &str) -> Path {
        text.split('/').filter(|part| !part.is_empty()).fold(self.prefix.clone(), Path::join)
    }
}

/// What a signed address is good for.
#[derive(Debug, Clone)]
pub enum Signed {
    /// To read; a browser saves it as `name`, which holds nothing but letters, digits, `.`, `_` and `-`.
    Get {
        /// What it is called.
        name: Option<String>,
    },
    /// To write.
    Put,
}

async fn within<T>(call: impl Future<Output = Result<T, object_store::Error>>) -> Result<T, StoreError> {
    Ok(tokio::time::timeout(WITHIN, call).await.map_err(|_late| StoreError::Late)??)
}

#[cfg(test)]
mod tests;
