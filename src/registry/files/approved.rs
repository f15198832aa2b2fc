//! Who is approved always, a file a repository. Read when it is asked for: pull requests of strangers are rare here.

use super::folder::{FilesError, Folder};
use super::{Index, Stored, Written};
use crate::domain::approval::Approved;
use crate::registry::name_of;

const PART: &str = "approved";

pub(super) fn one(folder: &Folder, canonical: &str) -> Result<Option<Stored<Approved>>, FilesError> {
    let name = name_of(canonical);
    match folder.named::<Approved>(PART, &name)? {
        Some(stored) if stored.value.canonical != canonical => Err(FilesError::Foreign(format!("{PART}/{name}"))),
        found => Ok(found),
    }
}

pub(super) fn set(folder: &Folder, approved: Approved, index: Option<Index>) -> Result<Written, FilesError> {
    let current = one(folder, &approved.canonical)?.map(|stored| stored.index);
    if current != index {
        return Ok(Written::Conflict);
    }
    let new = Index(current.map_or(0, |index| index.0) + 1);
    let name = name_of(&approved.canonical);
    folder.put_named(PART, &name, &Stored { value: approved, index: new })?;
    Ok(Written::Yes(new))
}

pub(super) fn all(folder: &Folder) -> Result<Vec<Approved>, FilesError> {
    let mut all = Vec::new();
    for name in folder.names(PART)? {
        match folder.named::<Approved>(PART, &name) {
            Ok(found) => all.extend(found.map(|stored| stored.value)),
            Err(error @ FilesError::Foreign(_)) => tracing::warn!(%error, "record left alone"),
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}
