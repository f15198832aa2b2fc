//! Keys, read back: what is ours and what is not.

use std::fmt;

use jiff::Timestamp;

use super::{BuildPlace, FAR, Key, Trust, hash};
use crate::domain::id::{BlobId, ClaimId, UploadId};

/// What stands for a repository in keys.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepoHash(String);

impl RepoHash {
    pub(super) fn of(canonical: &str) -> Self {
        Self(hash(canonical))
    }

    fn read(text: &str) -> Option<Self> {
        is_hash(text).then(|| Self(text.to_owned()))
    }

    /// 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RepoHash {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::read(&text).ok_or("expected 64 lower-case hexadecimal digits")
    }
}

impl From<RepoHash> for String {
    fn from(hash: RepoHash) -> Self {
        hash.0
    }
}

impl serde::Serialize for RepoHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for RepoHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::try_from(text).map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for RepoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key is the name of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Something of one change.
    Build(RepoHash, ClaimId, InBuild),
    /// The manifest of a cache.
    Cache(RepoHash, Trust, BlobId),
    /// The bytes of a cache.
    CacheObject(RepoHash, Trust, UploadId),
    /// What says which build of a ref is green.
    Green(RepoHash),
    /// A line of the list.
    History(Timestamp, ClaimId),
    /// What finds a build by its id.
    Index,
}

/// What a key is the name of, below one change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InBuild {
    /// The manifest of an artifact.
    Artifact(BlobId),
    /// The bytes of an artifact.
    Object(UploadId),
    /// A piece of a log, or its end.
    Log,
    /// How it ended.
    Record,
}

impl Place {
    /// None for what is not ours.
    #[must_use]
    pub fn read(key: &str) -> Option<Self> {
        let parts: Vec<&str> = key.split('/').collect();
        match parts.as_slice() {
            ["repos", repo, "builds", claim, rest @ ..] => {
                Some(Self::Build(RepoHash::read(repo)?, claim.parse().ok()?, InBuild::read(rest)?))
            }
            ["repos", repo, "caches", trust, "objects", upload] => {
                Some(Self::CacheObject(RepoHash::read(repo)?, read_trust(trust)?, upload.parse().ok()?))
            }
            ["repos", repo, "caches", trust, name] => {
                Some(Self::Cache(RepoHash::read(repo)?, read_trust(trust)?, read_manifest(name)?))
            }
            ["repos", repo, "green", trust, git_ref, flavor] => {
                read_trust(trust)?;
                (is_hash(git_ref) && flavor.ends_with(".json")).then_some(())?;
                Some(Self::Green(RepoHash::read(repo)?))
            }
            ["history", line] => {
                let (left, claim) = line.split_once('-')?;
                let left: i64 = (left.len() == 13).then(|| left.parse().ok())??;
                Some(Self::History(Timestamp::from_millisecond(FAR - left).ok()?, claim.parse().ok()?))
            }
            ["index", build] => is_hash(build).then_some(Self::Index),
            _ => None,
        }
    }
}

impl InBuild {
    fn read(parts: &[&str]) -> Option<Self> {
        match parts {
            ["artifacts", name] => read_manifest(name).map(Self::Artifact),
            ["objects", upload] => upload.parse().ok().map(Self::Object),
            ["log", own, "stdout" | "stderr", piece] => {
                own.parse::<ClaimId>().ok()?;
                let ours = *piece == "end" || (piece.len() == 20 && piece.bytes().all(|byte| byte.is_ascii_digit()));
                ours.then_some(Self::Log)
            }
            ["record", name] => {
                name.strip_suffix(".json")?.parse::<ClaimId>().ok()?;
                Some(Self::Record)
            }
            _ => None,
        }
    }
}

impl Key {
    /// A key of ours that was listed; none for what is not ours.
    #[must_use]
    pub fn read(text: &str) -> Option<(Self, Place)> {
        Place::read(text).map(|place| (Self(text.to_owned()), place))
    }
}

impl BuildPlace {
    /// The artifact that a listed key is the manifest of.
    #[must_use]
    pub fn artifact_of(&self, key: &Key) -> Option<BlobId> {
        read_manifest(self.artifacts().name(key)?)
    }
}

/// `<id>.json`
fn read_manifest(name: &str) -> Option<BlobId> {
    name.strip_suffix(".json")?.parse().ok()
}

fn read_trust(text: &str) -> Option<Trust> {
    match text {
        "trusted" => Some(Trust::Trusted),
        "untrusted" => Some(Trust::Untrusted),
        _ => None,
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
