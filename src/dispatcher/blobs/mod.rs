//! What is kept of builds: settings, and who may do what with it.

use std::time::Duration;

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
    /// `ALBATROS_STORE_KEEP`: how long builds are kept after they were last written, and caches after they were last used.
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
