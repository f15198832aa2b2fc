//! Making an image: from what was typed to its place in the store, once for many at a time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, sleep};

use super::super::card::{FORMAT, ImageCard};
use super::super::error::{ImageError, failed};
use super::super::kernel::Sought;
use super::super::layers;
use super::super::source::{Fetched, Source};
use super::super::stored::Image;
use super::folder::try_alone;
use super::kernels::read_json;
use super::{Draft, Held, Store, digest_of, names};

/// Somebody else's making of the same image is waited for as long as a large one takes.
const OTHERS: Duration = Duration::from_secs(3600);
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Who is told how far the making is, a line each time.
pub type Told = Arc<dyn Fn(&str) + Send + Sync>;

/// How an image is made.
#[derive(Clone)]
pub struct Making {
    /// Which kernel will boot it.
    pub kernel: Sought,
    /// The name it is given; none is the one that the source has.
    pub name: Option<String>,
    /// Where docker's `config.json` is, for registries that want to know who asks.
    pub docker_config: Option<PathBuf>,
    /// Who is told how far it is.
    pub told: Told,
}

impl std::fmt::Debug for Making {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Making").field("kernel", &self.kernel).field("name", &self.name).finish_non_exhaustive()
    }
}

impl Default for Making {
    fn default() -> Self {
        Self { kernel: Sought::default(), name: None, docker_config: None, told: Arc::new(|_line| {}) }
    }
}

/// An image that is in the store already. As long as this is there it is not removed: what finds it known need not bring
/// its layers.
#[derive(Debug)]
pub(in super::super) struct There {
    digest: String,
    _held: Held,
}

/// An image with all its files.
#[derive(Debug)]
pub(super) enum Whole {
    /// In its place.
    There(There),
    /// In a folder of its own, to be put in place.
    Made {
        /// By which it will be known.
        digest: String,
        /// Where it is.
        at: PathBuf,
    },
}

impl Whole {
    pub(super) fn digest(&self) -> &str {
        match self {
            Self::There(there) => &there.digest,
            Self::Made { digest, .. } => digest,
        }
    }
}

impl Store {
    /// The image of that name, made now if it is not there: from a registry, or from an engine of this node. Files are
    /// never read for a name that a build has brought. Of many who want the same one at once, one makes it.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn pull(&self, reference: &str, making: &Making) -> Result<Image, ImageError> {
        let source: Source = reference.parse()?;
        if source.is_file() {
            return Err(ImageError::Usage(format!(
                "there is no image \"{reference}\" in the store, and it is not made from a file for a build; on this \
                 node: albatros vm image build {reference}"
            )));
        }
        let lock = self.folder.dir.join("pulls").join(hex::encode(Sha256::digest(Source::name_in(reference))));
        // Whoever waits may be told to stop: no thread is to be left waiting.
        let end = Instant::now() + OTHERS;
        let _locked = loop {
            match try_alone(&lock)? {
                Some(locked) => break locked,
                None if Instant::now() >= end => return Err(ImageError::Slow(reference.to_owned())),
                None => sleep(LOOK_EVERY).await,
            }
        };
        let (store, name) = (self.clone(), reference.to_owned());
        let image = match blocking(move || store.find(&name)).await? {
            Some(image) => Ok(image),
            None => self.build(&source, making).await,
        };
        // Nobody waits for long at a name that nobody has any more: who waited looks again.
        let _ = fs::remove_file(&lock);
        image
    }

    /// Makes an image anew, and gives it its name.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn build(&self, source: &Source, making: &Making) -> Result<Image, ImageError> {
        let name = making.name.clone().or_else(|| source.name()).ok_or_else(|| {
            ImageError::Usage("what comes by standard input has no name; give it one with --name NAME".to_owned())
        })?;
        let store = self.clone();
        let sought = making.kernel.clone();
        // Before anything large: without a kernel there is no machine.
        let (kernel, draft) = blocking(move || Ok((store.kernel(&sought)?, store.draft()?))).await?;
        let draft = Arc::new(draft);
        let known = |content: &str| self.made_from(content);
        let fetched = source.fetch(&draft, making, &known).await?;
        let (store, told) = (self.clone(), Arc::clone(&making.told));
        let work = move || {
            let whole = store.assemble(fetched, &draft, &told)?;
            store.adopt(&whole, &name, &kernel)
        };
        blocking(work).await
    }

    /// The image of the store that was made from the same configuration and layers before, held from now on.
    pub(in super::super) fn made_from(&self, content: &str) -> Result<Option<There>, ImageError> {
        for digest in names(&self.folder.images())? {
            let dir = self.folder.image(&digest);
            let Some(held) = Held::shared(&dir)? else { continue };
            let card = read_json::<ImageCard>(&dir.join("image.json"))?;
            let is_same = |card: &ImageCard| card.format == FORMAT && card.content.as_deref() == Some(content);
            if card.as_ref().is_some_and(is_same) {
                return Ok(Some(There { digest, _held: held }));
            }
        }
        Ok(None)
    }

    /// Puts an image together, unless the store has it.
    pub(super) fn assemble(&self, fetched: Fetched, draft: &Draft, told: &Told) -> Result<Whole, ImageError> {
        let parts = match fetched {
            Fetched::There(there) => return Ok(Whole::There(there)),
            Fetched::Parts(parts) => parts,
        };
        if let Some(there) = parts.content.as_deref().map(|content| self.made_from(content)).transpose()?.flatten() {
            return Ok(Whole::There(there));
        }
        let made = draft.path().join("image");
        fs::create_dir(&made).map_err(failed(&made, "made"))?;
        let root = made.join("root.squashfs");
        let entries = layers::assemble(&parts, draft.path(), &root, told)?;
        let card = ImageCard {
            format: FORMAT,
            root: hex::encode(digest_of(&root)?),
            size: size(&root)?,
            entries,
            content: parts.content.clone(),
            config: parts.config.clone(),
        };
        let path = made.join("image.json");
        fs::write(&path, card.json()).map_err(failed(&path, "written"))?;
        Ok(Whole::Made { digest: card.digest(), at: made })
    }
}

fn size(path: &Path) -> Result<u64, ImageError> {
    Ok(fs::metadata(path).map_err(failed(path, "read"))?.len())
}

/// Work with files, on a thread where it holds up nobody.
pub(in super::super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImageError> + Send + 'static,
) -> Result<T, ImageError> {
    tokio::task::spawn_blocking(work).await.map_err(ImageError::Lost)?
}
