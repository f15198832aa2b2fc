//! What was told of blobs.

use std::time::Duration;

use crate::domain::blob::BlobKind;

/// What of a build is kept, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobSettings {
    /// `ALBATROS_ARTIFACT_LIMIT`: the largest artifact, bytes.
    pub artifact: u64,
    /// `ALBATROS_ARTIFACT_COUNT`: how many a build may leave.
    pub artifacts: usize,
    /// `ALBATROS_CACHE_LIMIT`: the largest cache, bytes.
    pub cache: u64,
    /// `ALBATROS_CACHE_COUNT`: how many a repository may have, of trusted and of other builds each.
    pub caches: usize,
    /// `ALBATROS_STORE_KEEP`: how long builds are kept after they were last written, and caches after they were last
    /// used.
    pub keep: Duration,
    /// `ALBATROS_STORE_SIZE`: the most that is kept, bytes.
    pub size: Option<u64>,
}

impl Default for BlobSettings {
    fn default() -> Self {
        Self {
            artifact: 5 << 30,
            artifacts: 1_000,
            cache: 5 << 30,
            caches: 1_000,
            keep: Duration::from_secs(30 * 86_400),
            size: None,
        }
    }
}

impl BlobSettings {
    /// The largest one.
    pub(crate) fn most(&self, kind: BlobKind) -> u64 {
        match kind {
            BlobKind::Artifact => self.artifact,
            BlobKind::Cache => self.cache,
        }
    }

    /// How many there may be in one place.
    pub(crate) fn count(&self, kind: BlobKind) -> usize {
        match kind {
            BlobKind::Artifact => self.artifacts,
            BlobKind::Cache => self.caches,
        }
    }
}
