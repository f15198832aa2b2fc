//! What operators do with repositories' entries in Consul: list, write, move and remove them. `serve` only reads them.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as STANDARD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use bytes::Bytes;

use super::consul::{approved_key, tested_key};
use super::{Index, RegistryError, Written};
use crate::api::consul::{Consistency, Consul, ConsulError, Op, Outcome, Pair};
use crate::domain::delivery::Tested;
use crate::domain::repo_url::RepoUrl;

/// How often the registry is looked at while a test delivery is waited for.
const LOOK: Duration = Duration::from_millis(300);

/// Repositories' entries under one prefix.
#[derive(Debug)]
pub struct Entries {
    consul: Consul,
    prefix: String,
}

/// One key under the prefix, whatever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The last part of the key.
    pub name: String,
    /// The address that the key stands for; none where it is no base64 of one.
    pub address: Option<RepoUrl>,
    /// The value, as it stands there.
    pub value: Bytes,
    /// What a write of it must name.
    pub index: Index,
}

impl Kept {
    fn read(pair: Pair, folder: &str) -> Option<Self> {
        let name = pair.key.strip_prefix(folder).filter(|name| !name.is_empty())?.to_owned();
        let bytes = STANDARD.decode(&name).or_else(|_| URL_SAFE_NO_PAD.decode(&name)).ok();
        let address = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
        Some(Self { name, address, value: pair.value, index: Index(pair.modify_index) })
    }

    /// Whether it stands where `repo add` would write it: the canonical address in standard base64.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        self.address.as_ref().is_some_and(|address| self.name == usual_name(address))
    }
}

/// Where an entry is written: the last part of the key.
fn usual_name(url: &RepoUrl) -> String {
    STANDARD.encode(url.canonical())
}

impl Entries {
    /// Those under `<prefix>/`.
    #[must_use]
    pub fn new(consul: Consul, prefix: &str) -> Self {
        Self { consul, prefix: prefix.to_owned() }
    }

    /// Where they are: what a policy must name.
    #[must_use]
    pub fn folder(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// Everything under the prefix, by key.
    ///
    /// # Errors
    /// When Consul does not answer, or not us.
    pub async fn all(&self) -> Result<Vec<Kept>, RegistryError> {
        let folder = self.folder();
        let (_, pairs) = self.consul.list(&folder, None, Consistency::Consistent).await?;
        Ok(pairs.into_iter().filter_map(|pair| Kept::read(pair, &folder)).collect())
    }

    /// Those that stand for one repository, in whatever spelling and encoding; the one that `serve` takes first.
    ///
    /// # Errors
    /// As [`Entries::all`].
    pub async fn of(&self, url: &RepoUrl) -> Result<Vec<Kept>, RegistryError> {
        let mut found = self.all().await?;
        found.retain(|kept| kept.address.as_ref().is_some_and(|known| is_same(known, url)));
        let order = url.keys();
        found.sort_by_key(|kept| order.iter().position(|(_, name)| *name == kept.name).unwrap_or(usize::MAX));
        Ok(found)
    }

    /// Writes the one entry of a repository where it belongs, and removes `instead` of which: one transaction, and none
    /// of it if anything has changed since it was read. Without any there must be none.
    ///
    /// # Errors
    /// When it cannot be known whether it was written.
    pub async fn put(&self, url: &RepoUrl, value: &[u8], instead: &[Kept]) -> Result<Written, RegistryError> {
        let (key, names) = (self.key(&usual_name(url)), instead.iter().map(|kept| self.key(&kept.name)));
        let names: Vec<String> = names.collect();
        let replaced = instead.iter().find(|kept| kept.name == usual_name(url));
        let mut ops = vec![Op::Cas { key: &key, index: replaced.map_or(0, |kept| kept.index.0), value }];
        for (kept, name) in instead.iter().zip(&names) {
            if *name != key {
                ops.push(Op::DeleteCas { key: name, index: kept.index.0 });
            }
        }
        let answer = self.consul.transaction(&ops).await;
        self.settled(answer, &key, Some(value)).await
    }

    /// Removes a repository's entries, if they are as they were read, and with them what `serve` keeps for it under any of
    /// its spellings: who is approved always must not be so for whoever has the address next.
    ///
    /// # Errors
    /// When it cannot be known whether they were removed.
    pub async fn remove(&self, entries: &[Kept]) -> Result<Written, RegistryError> {
        let keys: Vec<String> = entries.iter().map(|kept| self.key(&kept.name)).collect();
        let Some(first) = keys.first() else { return Ok(Written::Yes(Index(0))) };
        let names = entries.iter().filter_map(|kept| kept.address.as_ref()).map(RepoUrl::canonical);
        let names: BTreeSet<&str> = names.collect();
        let kept = |name: &&str| [approved_key(&self.prefix, name), tested_key(&self.prefix, name)];
        let beside: Vec<String> = names.iter().flat_map(kept).collect();
        let removed = entries.iter().zip(&keys).map(|(kept, key)| Op::DeleteCas { key, index: kept.index.0 });
        let ops: Vec<Op<'_>> = removed.chain(beside.iter().map(|key| Op::Delete { key })).collect();
        let answer = self.consul.transaction(&ops).await;
        self.settled(answer, first, None).await
    }

    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    /// What became of a write. One whose answer was lost is settled by reading again.
    async fn settled(
        &self,
        answer: Result<Outcome, ConsulError>,
        key: &str,
        value: Option<&[u8]>,
    ) -> Result<Written, RegistryError> {
        match answer {
            Ok(Outcome::Done(_)) => Ok(Written::Yes(Index(0))),
            Ok(Outcome::Failed(_)) => Ok(Written::Conflict),
            Err(error) if error.surely_undone() => Err(error.into()),
            Err(error) => {
                let now = self.consul.get(key, Consistency::Consistent).await?;
                if now.as_ref().map(|pair| &pair.value[..]) == value {
                    Ok(Written::Yes(Index(0)))
                } else {
                    Err(error.into())
                }
            }
        }
    }

    /// The newest test delivery of a repository that `serve` has noted.
    ///
    /// # Errors
    /// When Consul does not answer, or not us.
    pub async fn tested(&self, canonical: &str) -> Result<Option<(Index, Tested)>, RegistryError> {
        let key = tested_key(&self.prefix, canonical);
        let Some(pair) = self.consul.get(&key, Consistency::Consistent).await? else { return Ok(None) };
        // Who wrote something else there has no test delivery for us.
        Ok(serde_json::from_slice(&pair.value).ok().map(|tested| (Index(pair.modify_index), tested)))
    }

    /// Waits for a test delivery that is newer than `last`, for `within` at most; none: none came.
    ///
    /// # Errors
    /// When Consul does not answer, or not us.
    pub async fn next_tested(
        &self,
        canonical: &str,
        last: Option<Index>,
        within: Duration,
    ) -> Result<Option<Tested>, RegistryError> {
        let until = tokio::time::Instant::now() + within;
        loop {
            match self.tested(canonical).await? {
                Some((index, tested)) if Some(index) != last => return Ok(Some(tested)),
                Some(_) | None if tokio::time::Instant::now() >= until => return Ok(None),
                Some(_) | None => tokio::time::sleep(LOOK).await,
            }
        }
    }
}

/// Whether two addresses are those of one repository: forges ignore case, and the end `.git`.
fn is_same(one: &RepoUrl, other: &RepoUrl) -> bool {
    let plain = |url: &RepoUrl| {
        let text = url.canonical().to_ascii_lowercase();
        text.strip_suffix(".git").map(str::to_owned).unwrap_or(text)
    };
    plain(one) == plain(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(key: &str) -> Pair {
        let value = Bytes::from_static(b"{}");
        Pair { key: key.to_owned(), value, flags: 0, session: None, lock_index: 0, create_index: 1, modify_index: 1 }
    }

    #[test]
    fn a_key_is_read_in_both_encodings_and_only_one_is_usual() {
        let sent = "https://Git.Example/a/b";
        let canonical: RepoUrl = "https://git.example/a/b".parse().unwrap();
        for (name, address, usual) in [
            (STANDARD.encode(canonical.canonical()), Some(canonical.canonical()), true),
            (URL_SAFE_NO_PAD.encode(canonical.canonical()), Some(canonical.canonical()), false),
            (STANDARD.encode(sent), Some(canonical.canonical()), false),
            ("https://git.example/a/b".to_owned(), None, false),
            (STANDARD.encode("nonsense"), None, false),
        ] {
            let kept = Kept::read(pair(&format!("albatros/{name}")), "albatros/").unwrap();
            assert_eq!(kept.address.as_ref().map(RepoUrl::canonical), address, "{name}");
            // Without padding both encodings may be the same text.
            assert!(kept.is_usual() == usual || name == STANDARD.encode(canonical.canonical()), "{name}");
        }
        assert_eq!(Kept::read(pair("albatros/"), "albatros/"), None);
    }

    #[test]
    fn one_repository_has_several_spellings() {
        let url = |text: &str| text.parse::<RepoUrl>().unwrap();
        let one = url("https://git.example/quentin/hello.git");
        for other in ["https://git.example/Quentin/Hello", "HTTPS://git.example:443/quentin/hello.git/"] {
            assert!(is_same(&one, &url(other)), "{other}");
        }
        for other in ["https://git.example/quentin/hello2", "http://git.example/quentin/hello.git"] {
            assert!(!is_same(&one, &url(other)), "{other}");
        }
    }
}
