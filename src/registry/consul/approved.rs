//! Who is approved always, a key a repository.

use super::write::{self, Intent};
use super::{ConsulRegistry, Index, RegistryError, Stored, Written, encode, read_versioned};
use crate::api::consul::Consistency;
use crate::domain::approval::Approved;
use crate::registry::name_of;

fn folder(at: &ConsulRegistry) -> String {
    format!("{}-builds/approved/", at.prefix)
}

/// Where a repository's list is.
pub(in crate::registry) fn approved_key(prefix: &str, canonical: &str) -> String {
    format!("{prefix}-builds/approved/{}", name_of(canonical))
}

fn key(at: &ConsulRegistry, canonical: &str) -> String {
    approved_key(&at.prefix, canonical)
}

pub(super) async fn one(at: &ConsulRegistry, canonical: &str) -> Result<Option<Stored<Approved>>, RegistryError> {
    let Some(pair) = at.consul.get(&key(at, canonical), Consistency::Consistent).await? else { return Ok(None) };
    let value: Approved = read_versioned(&pair)?;
    if value.canonical != canonical {
        return Err(RegistryError::Refused(format!("the record {} is another repository's", pair.key)));
    }
    Ok(Some(Stored { value, index: Index(pair.modify_index) }))
}

pub(super) async fn set(
    at: &ConsulRegistry,
    approved: &Approved,
    index: Option<Index>,
) -> Result<Written, RegistryError> {
    let intent = Intent::Keep { key: key(at, &approved.canonical), index, value: encode(approved)? };
    write::write(at, None, intent).await
}

pub(super) async fn all(at: &ConsulRegistry) -> Result<Vec<Approved>, RegistryError> {
    let (_, pairs) = at.consul.list(&folder(at), None, Consistency::Consistent).await?;
    Ok(pairs.into_iter().filter_map(|pair| at.readable(&pair, read_versioned(&pair))).collect())
}
