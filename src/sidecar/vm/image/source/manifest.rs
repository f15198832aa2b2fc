//! An image's cards: which layers, what it says about its programs.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::super::card::{ImageConfig, is_digest};
use super::super::error::ImageError;

/// A card of an image, bytes.
pub(super) const CARD_MOST: u64 = 4 << 20;
/// Layers of one image.
const LAYERS_MOST: usize = 500;
/// Variables of one image, all together, bytes.
const ENV_MOST: usize = 256 * 1024;

/// Something that a card points at.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Descriptor {
    pub(super) digest: String,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    pub(super) annotations: std::collections::HashMap<String, String>,
    pub(super) platform: Option<Platform>,
}

/// For which machines.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Platform {
    #[serde(default)]
    pub(super) architecture: String,
    #[serde(default)]
    pub(super) os: String,
}

/// An index, or a manifest: what is not there says which.
#[derive(Debug, Deserialize)]
pub(super) struct Card {
    #[serde(default)]
    pub(super) manifests: Vec<Descriptor>,
    pub(super) config: Option<Descriptor>,
    #[serde(default)]
    pub(super) layers: Vec<Descriptor>,
}

/// An image's configuration.
#[derive(Debug, Deserialize)]
struct ConfigCard {
    architecture: Option<String>,
    os: Option<String>,
    #[serde(default)]
    config: Option<Programs>,
    rootfs: Option<Rootfs>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Programs {
    env: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Rootfs {
    #[serde(default)]
    diff_ids: Option<Vec<String>>,
}

/// A configuration that was read.
#[derive(Debug)]
pub(super) struct Config {
    pub(super) config: ImageConfig,
    /// Sum of the configuration itself.
    pub(super) content: String,
    /// Sums of the layers, unpacked.
    pub(super) layers: Vec<String>,
}

/// What this machine is called in images.
pub(in super::super) fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn wrong(what: &str) -> ImageError {
    ImageError::Source(format!("the image cannot be read: {what}"))
}

/// A digest's digits; only SHA-256 is taken.
pub(super) fn sha256(digest: &str) -> Result<&str, ImageError> {
    let digits = digest.strip_prefix("sha256:").filter(|digits| is_digest(digits));
    digits.ok_or_else(|| wrong(&format!("\"{}\" is no SHA-256 digest", digest.chars().take(80).collect::<String>())))
}

/// Checks what a digest stands for.
pub(super) fn check(bytes: &[u8], digest: &str) -> Result<(), ImageError> {
    let is_same = hex::encode(Sha256::digest(bytes)) == sha256(digest)?;
    if is_same { Ok(()) } else { Err(wrong(&format!("what {digest} names has another digest"))) }
}

impl Card {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let card: Self = serde_json::from_slice(bytes).map_err(|_error| wrong("a manifest is none"))?;
        if card.layers.len() > LAYERS_MOST || card.manifests.len() > LAYERS_MOST {
            return Err(wrong(&format!("more than {LAYERS_MOST} layers")));
        }
        Ok(card)
    }

    /// The image of an index that is for this machine, and has that tag.
    pub(super) fn pick(&self, tag: Option<&str>) -> Result<&Descriptor, ImageError> {
        let named = |one: &&Descriptor| {
            tag.is_none_or(|tag| {
                let name = one.annotations.get("org.opencontainers.image.ref.name").map(String::as_str);
                name.is_some_and(|name| name == tag || name.rsplit(':').next() == Some(tag))
            })
        };
        let fits = |one: &&Descriptor| {
            one.platform
                .as_ref()
                .is_none_or(|platform| platform.architecture == architecture() && platform.os == "linux")
        };
        let mut fitting = self.manifests.iter().filter(named).filter(fits);
        match (fitting.next(), fitting.next()) {
            (Some(one), None) => Ok(one),
            // With platforms the first that fits is meant; without them only a tag can tell.
            (Some(one), Some(_)) if one.platform.is_some() => Ok(one),
            (Some(_), Some(_)) => Err(wrong("it holds several images; name one by its tag, oci:PATH:TAG")),
            (None, _) => Err(wrong(&match tag {
                Some(tag) => format!("it holds no image \"{tag}\" for linux/{}", architecture()),
                None => format!("it holds no image for linux/{}", architecture()),
            })),
        }
    }
}

impl Config {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ImageError> {
        let card: ConfigCard = serde_json::from_slice(bytes).map_err(|_error| wrong("its configuration is none"))?;
        let other = |said: &Option<String>, ours: &str| {
            said.as_deref().filter(|said| *said != ours && !said.is_empty()).is_some()
        };
        if other(&card.architecture, architecture()) || other(&card.os, "linux") {
            let of = |said: &Option<String>| said.clone().unwrap_or_default().chars().take(40).collect::<String>();
            let (os, architecture) = (of(&card.os), of(&card.architecture));
            return Err(wrong(&format!(
                "it is for {os}/{architecture}, and this machine is linux/{}",
                self::architecture()
            )));
        }
        let programs = card.config.unwrap_or_default();
        let env = programs.env.unwrap_or_default();
        if env.iter().map(String::len).sum::<usize>() > ENV_MOST {
            return Err(wrong("its variables are too long"));
        }
        let pairs = env.iter().filter_map(|line| line.split_once('='));
        let config = ImageConfig {
            env: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            user: programs.user.filter(|user| !user.is_empty()),
            workdir: programs.working_dir.filter(|dir| !dir.is_empty()),
        };
        let layers = card.rootfs.and_then(|rootfs| rootfs.diff_ids).unwrap_or_default();
        Ok(Self { config, content: hex::encode(Sha256::digest(bytes)), layers })
    }

    /// The sum of each of so many layers, unpacked.
    pub(super) fn sums(&self, layers: usize) -> Result<Vec<String>, ImageError> {
        if self.layers.len() != layers {
            let said = self.layers.len();
            return Err(wrong(&format!("its configuration names {said} layers, its manifest {layers}")));
        }
        self.layers.iter().map(|digest| sha256(digest).map(str::to_owned)).collect()
    }
}
