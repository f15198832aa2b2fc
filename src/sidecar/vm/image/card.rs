//! What is known of an image, and under which digest.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Images of another format are made anew.
pub(super) const FORMAT: u32 = 1;
/// A digest, hexadecimal.
const DIGITS: usize = 64;

/// What an image says about the programs in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// Variables.
    pub env: Vec<(String, String)>,
    /// Who runs them, by name or number, as `USER` in a Dockerfile has it.
    pub user: Option<String>,
    /// Where they start.
    pub workdir: Option<String>,
}

/// `image.json`; its sum is the image's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ImageCard {
    pub(super) format: u32,
    /// Sum of `root.squashfs`.
    pub(super) root: String,
    /// Its size, bytes.
    pub(super) size: u64,
    /// Files, directories and links.
    pub(super) entries: u64,
    /// Sum of the configuration that it was made by, which stands for all its layers; none if it was a plain tree.
    pub(super) content: Option<String>,
    pub(super) config: ImageConfig,
}

impl ImageCard {
    pub(super) fn json(&self) -> Vec<u8> {
        // Text and numbers are always JSON.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    pub(super) fn digest(&self) -> String {
        hex::encode(Sha256::digest(self.json()))
    }
}

/// Whether a text is a digest as the store writes it.
pub(super) fn is_digest(text: &str) -> bool {
    text.len() == DIGITS && is_hex(text)
}

pub(super) fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
