//! What an image is made from: an engine's image, an OCI layout or archive, a plain tree, a registry's image.

mod archive;
mod credentials;
mod engine;
mod layout;
mod manifest;
mod registry;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use super::card::ImageConfig;
use super::error::{ImageError, failed};
use super::layers::Slice;
use super::store::{Draft, Making, There, blocking};

pub use engine::Engine;
#[cfg(test)]
pub(super) use manifest::architecture;

/// A name, bytes; longer ones are none.
const NAME_MOST: usize = 512;

/// What was typed as SOURCE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// An image of docker or podman on this node.
    Engine(Engine, String),
    /// An OCI layout (a folder) or archive, or a file that `docker save` has written; and one of its tags.
    Oci(PathBuf, Option<String>),
    /// An archive of a whole file system; none is standard input.
    Tar(Option<PathBuf>),
    /// An image of a registry.
    Registry(String),
}

/// An image on this machine's disk, with its digests known but not checked yet.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) config: ImageConfig,
    /// Sum of the configuration, if there is one.
    pub(super) content: Option<String>,
    pub(super) layers: Vec<Layer>,
    /// Whether names that begin with `.wh.` take something away.
    pub(super) whiteouts: bool,
}

/// What fetching an image has come to.
#[derive(Debug)]
pub(super) enum Fetched {
    /// Its parts, to be put together.
    Parts(Parts),
    /// It is in the store already.
    There(There),
}

/// One archive of files.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) blob: Slice,
    /// Sum of it as it lies there.
    pub(super) digest: Option<String>,
    /// Sum of it unpacked.
    pub(super) unpacked: Option<String>,
}

/// The image of the store that was made from a configuration of that sum, if there is one.
pub(super) type Known<'a> = &'a (dyn Fn(&str) -> Result<Option<There>, ImageError> + Sync);

impl FromStr for Source {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let refused = |why: &str| Err(ImageError::Usage(format!("\"{}\" {why}", text.escape_debug())));
        if text.len() > NAME_MOST || text.chars().any(char::is_control) {
            return refused("is no image: it is too long, or has control characters");
        }
        if text == "-" {
            return Ok(Self::Tar(None));
        }
        let Some((kind, rest)) = text.split_once(':') else { return registry_of(text) };
        match kind {
            "docker" | "podman" | "oci" | "tar" if rest.is_empty() => refused("names nothing behind its colon"),
            // An option of the engine's own is none of its images.
            "docker" | "podman" if rest.starts_with('-') => refused("is no image's name"),
            "docker" => Ok(Self::Engine(Engine::Docker, rest.to_owned())),
            "podman" => Ok(Self::Engine(Engine::Podman, rest.to_owned())),
            "tar" if rest == "-" => Ok(Self::Tar(None)),
            "tar" => Ok(Self::Tar(Some(rest.into()))),
            "oci" => {
                let (path, tag) = match rest.rsplit_once(':') {
                    Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
                    _ => (rest, None),
                };
                Ok(Self::Oci(path.into(), tag))
            }
            _ => registry_of(text),
        }
    }
}

fn registry_of(text: &str) -> Result<Source, ImageError> {
    registry::parsed(text).map(|_reference| Source::Registry(text.to_owned()))
}

impl Source {
    /// The name that an image is found by: without the engine that knew it.
    pub(super) fn name_in(reference: &str) -> &str {
        let plain = reference.strip_prefix("docker:").or_else(|| reference.strip_prefix("podman:"));
        plain.unwrap_or(reference)
    }

    /// The name of an image made from it, where none was given.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Engine(_, name) | Self::Registry(name) => Some(name.clone()),
            Self::Oci(path, tag) => {
                let stem = stem(path);
                Some(tag.as_ref().map_or_else(|| stem.clone(), |tag| format!("{stem}:{tag}")))
            }
            Self::Tar(path) => path.as_deref().map(stem),
        }
    }

    /// Whether it is read from a file or standard input.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self, Self::Oci(..) | Self::Tar(_))
    }

    /// Brings it onto this machine's disk.
    pub(super) async fn fetch(
        &self,
        draft: &Arc<Draft>,
        making: &Making,
        known: Known<'_>,
    ) -> Result<Fetched, ImageError> {
        let draft = Arc::clone(draft);
        let parts = match self.clone() {
            Self::Registry(name) => return registry::fetch(&name, &draft, making, known).await,
            Self::Engine(engine, name) => {
                if let Some(content) = engine.content(&name).await
                    && let Some(there) = known(&content)?
                {
                    return Ok(Fetched::There(there));
                }
                (making.told)(&format!("{engine} saves {name}"));
                let file = draft.path().join("saved.tar");
                engine.save(&name, &file).await?;
                blocking(move || layout::file(&file, None, &draft)).await
            }
            Self::Oci(path, tag) => blocking(move || layout::read(&path, tag.as_deref(), &draft)).await,
            Self::Tar(path) => {
                if path.is_none() {
                    (making.told)("reading standard input");
                }
                blocking(move || tree(path.as_deref(), &draft)).await
            }
        };
        parts.map(Fetched::Parts)
    }
}

/// A file's name without what packers append.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let endings = [".tar.gz", ".tar.zst", ".tgz", ".tar", ".oci"];
    let plain = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    plain.to_owned()
}

/// A plain tree: nothing in it says what is in it.
fn tree(path: Option<&Path>, draft: &Draft) -> Result<Parts, ImageError> {
    let blob = match path {
        Some(path) => Slice::whole(path)?,
        None => {
            let at = draft.path().join("stdin.tar");
            let mut file = File::create(&at).map_err(failed(&at, "made"))?;
            std::io::copy(&mut std::io::stdin().lock(), &mut file).map_err(failed(&at, "written"))?;
            Slice::whole(&at)?
        }
    };
    let layers = vec![Layer { blob, digest: None, unpacked: None }];
    Ok(Parts { config: ImageConfig::default(), content: None, layers, whiteouts: false })
}
