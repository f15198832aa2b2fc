//! What builds leave and need: artifacts and caches, as the store keeps them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::id::{BlobId, UploadId};

/// What a blob is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum BlobKind {
    /// Left by one build, for people and later builds.
    Artifact,
    /// Kept from build to build of a repository.
    Cache,
}

impl BlobKind {
    /// As it stands in paths.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Artifact => "artifacts",
            Self::Cache => "caches",
        }
    }

    /// For people: one of them.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Artifact => "artifact",
            Self::Cache => "cache",
        }
    }
}

/// How files are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// One file, byte for byte.
    File,
    /// A tar archive, compressed with zstd.
    Archive,
}

impl Packing {
    /// The media type of a blob that is packed so.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::File => "application/octet-stream",
            Self::Archive => "application/zstd",
        }
    }

    /// The packing that a media type stands for: everything that is no archive of ours is a file.
    #[must_use]
    pub fn of_media_type(text: &str) -> Self {
        if text == Self::Archive.media_type() { Self::Archive } else { Self::File }
    }
}

/// A blob that is there whole: the last thing that is written of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Manifest {
    /// Under which it was put; of a cache: the whole key.
    pub id: BlobId,
    /// How it is packed.
    pub packing: Packing,
    /// Of a single file: what it was called, without its directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Bytes, as they are stored.
    pub size: u64,
    /// SHA-256 of those bytes, 64 hexadecimal digits.
    pub sha256: String,
    /// When it was whole.
    pub created: Timestamp,
}

/// A manifest as the store keeps it: it also says where the bytes are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// What readers are told.
    #[serde(flatten)]
    pub manifest: Manifest,
    /// The bytes.
    pub object: UploadId,
}
