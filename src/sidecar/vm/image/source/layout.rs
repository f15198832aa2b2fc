//! An image in a folder or in one file: the OCI layout (<https://github.com/opencontainers/image-spec>), or what
//! `docker save` writes.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::super::error::{ImageError, failed};
use super::super::layers::Slice;
use super::archive::Archive;
use super::manifest::{CARD_MOST, Card, Config, check, sha256};
use super::{Draft, Layer, Parts};

/// Indexes within indexes.
const INDEXES: usize = 4;

enum Blobs {
    Folder(PathBuf),
    Archive(PathBuf, Archive),
}

/// One image of `manifest.json`, as `docker save` writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// A folder or a file.
pub(super) fn read(path: &Path, tag: Option<&str>, draft: &Draft) -> Result<Parts, ImageError> {
    if path.is_dir() {
        return oci(&Blobs::Folder(path.to_owned()), tag);
    }
    file(path, tag, draft)
}

pub(super) fn file(path: &Path, tag: Option<&str>, draft: &Draft) -> Result<Parts, ImageError> {
    let blobs = Blobs::Archive(path.to_owned(), Archive::open(path, draft)?);
    match blobs.slice("index.json")? {
        Some(_) => oci(&blobs, tag),
        None => saved(&blobs, tag),
    }
}

impl Blobs {
    fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::Archive(path, _) => path,
        }
    }

    fn slice(&self, name: &str) -> Result<Option<Slice>, ImageError> {
        match self {
            Self::Folder(dir) => {
                let path = dir.join(name);
                path.is_file().then(|| Slice::whole(&path)).transpose()
            }
            Self::Archive(_, archive) => Ok(archive.get(name)),
        }
    }

    fn need(&self, name: &str) -> Result<Slice, ImageError> {
        let missing = || ImageError::Source(format!("{} has no {name}; is it an image?", self.path().display()));
        self.slice(name)?.ok_or_else(missing)
    }

    fn card(&self, name: &str) -> Result<Vec<u8>, ImageError> {
        let slice = self.need(name)?;
        if slice.size() > CARD_MOST {
            return Err(ImageError::Source(format!("{} has a {name} that is too large", self.path().display())));
        }
        let mut bytes = Vec::new();
        slice.take(CARD_MOST).read_to_end(&mut bytes).map_err(failed(self.path(), "read"))?;
        Ok(bytes)
    }

    /// A card by its digest, checked.
    fn checked(&self, digest: &str) -> Result<Vec<u8>, ImageError> {
        let bytes = self.card(&blob(digest)?)?;
        check(&bytes, digest).map(|()| bytes)
    }
}

fn blob(digest: &str) -> Result<String, ImageError> {
    Ok(format!("blobs/sha256/{}", sha256(digest)?))
}

fn oci(blobs: &Blobs, tag: Option<&str>) -> Result<Parts, ImageError> {
    let mut card = Card::parse(&blobs.card("index.json")?)?;
    let mut tag = tag;
    for _ in 0..INDEXES {
        let Some(config) = &card.config else {
            let digest = card.pick(tag)?.digest.clone();
            card = Card::parse(&blobs.checked(&digest)?)?;
            // The tag was the index's; below it only the machine tells.
            tag = None;
            continue;
        };
        let config = Config::parse(&blobs.checked(&config.digest)?)?;
        let sums = config.sums(card.layers.len())?;
        let layers = card.layers.iter().zip(sums).map(|(layer, unpacked)| {
            let blob = blobs.need(&blob(&layer.digest)?)?;
            Ok(Layer { blob, digest: Some(sha256(&layer.digest)?.to_owned()), unpacked: Some(unpacked) })
        });
        let layers = layers.collect::<Result<_, ImageError>>()?;
        return Ok(Parts { config: config.config, content: Some(config.content), layers, whiteouts: true });
    }
    Err(ImageError::Source("the image cannot be read: too many indexes within each other".to_owned()))
}

fn saved(blobs: &Blobs, tag: Option<&str>) -> Result<Parts, ImageError> {
    let wrong = |what: &str| ImageError::Source(format!("{}: {what}", blobs.path().display()));
    let bytes = blobs.card("manifest.json").map_err(|_missing| {
        wrong("this is no image: neither index.json nor manifest.json is in it (for a plain file system type tar:FILE)")
    })?;
    let images: Vec<Saved> = serde_json::from_slice(&bytes).map_err(|_error| wrong("manifest.json is none"))?;
    let named = |image: &&Saved| {
        let tags = image.repo_tags.as_deref().unwrap_or_default();
        tag.is_none_or(|tag| tags.iter().any(|name| name == tag || name.rsplit(':').next() == Some(tag)))
    };
    let mut fitting = images.iter().filter(named);
    let image = match (fitting.next(), fitting.next()) {
        (Some(image), None) => image,
        (Some(_), Some(_)) => return Err(wrong("it holds several images; name one by its tag, oci:PATH:TAG")),
        (None, _) => return Err(wrong("it holds no such image")),
    };
    let bytes = blobs.card(&image.config)?;
    let config = Config::parse(&bytes)?;
    // The configuration's name is its sum, with or without an ending.
    let name = image.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
    check(&bytes, &format!("sha256:{name}"))?;
    let sums = config.sums(image.layers.len())?;
    let layers = image
        .layers
        .iter()
        .zip(sums)
        .map(|(name, unpacked)| Ok(Layer { blob: blobs.need(name)?, digest: None, unpacked: Some(unpacked) }));
    let layers = layers.collect::<Result<_, ImageError>>()?;
    Ok(Parts { config: config.config, content: Some(config.content), layers, whiteouts: true })
}
