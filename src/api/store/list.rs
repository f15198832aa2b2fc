//! What a folder of the store holds.

use std::collections::BinaryHeap;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use object_store::{ObjectMeta, ObjectStore as _};

use super::object::Meta;
use super::{Kind, Store, StoreError, WITHIN};
use crate::domain::place::{Folder, Key};

/// An object in a list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Its key, as it stands there: anybody may have put it there.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// When it was written.
    pub modified: Timestamp,
}

impl Store {
    /// At most `most` objects of a folder behind `after`, in the order of their keys.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn list(&self, folder: &Folder, after: Option<&Key>, most: usize) -> Result<Vec<Listed>, StoreError> {
        self.there().await?;
        let mut all = self.walk_from(folder, after);
        let mut first = BinaryHeap::new();
        let sorted = matches!(self.kind, Kind::S3 { .. });
        // Silence of the store is the reader's to end; of files the whole folder has to be seen.
        while let Some(one) = tokio::time::timeout(WITHIN, all.next()).await.map_err(|_late| StoreError::Late)? {
            first.push(one?);
            if first.len() > most {
                first.pop();
                if sorted {
                    break;
                }
            }
        }
        Ok(first.into_sorted_vec())
    }

    /// All objects of a folder, those of one folder below it together. A store that falls silent ends it.
    #[must_use]
    pub fn walk(&self, folder: &Folder) -> BoxStream<'static, Result<Listed, StoreError>> {
        let next = |mut all: BoxStream<'static, Result<Listed, StoreError>>| async move {
            match tokio::time::timeout(WITHIN, all.next()).await {
                Ok(None) => None,
                Ok(Some(one)) => Some((one, all)),
                Err(_late) => Some((Err(StoreError::Late), futures_util::stream::empty().boxed())),
            }
        };
        futures_util::stream::unfold(self.walk_from(folder, None), next).boxed()
    }

    fn walk_from(&self, folder: &Folder, after: Option<&Key>) -> BoxStream<'static, Result<Listed, StoreError>> {
        let prefix = self.below(folder.as_str());
        let found = match after {
            Some(after) => self.objects.list_with_offset(Some(&prefix), &self.path(after)),
            None => self.objects.list(Some(&prefix)),
        };
        let root = self.prefix.clone();
        let listed = move |one: Result<ObjectMeta, object_store::Error>| {
            let one = one?;
            let below = one.location.as_ref().strip_prefix(root.as_ref()).unwrap_or_default();
            let Meta { size, modified } = Meta::of(&one)?;
            Ok(Listed { key: below.trim_start_matches('/').to_owned(), size, modified })
        };
        found.map(listed).boxed()
    }
}
