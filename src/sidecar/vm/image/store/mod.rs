//! The node's store: images, kernels and initrds, each in a folder whose name is its digest.
//!
//! ```text
//! images/<digest>/   root.squashfs  image.json  kernel (which one boots it)
//! kernels/<digest>/  vmlinuz  modules.cpio  kernel.json
//! initrds/<digest>/  initrd  initrd.json
//! snapshots/<key>/   state  boot (of the node)
//! names/<sum>        {"name", "digest"}
//! tmp/<random>/      what is being made, locked by who makes it     pulls/  one lock for each image that is fetched
//! ```
//! Many processes use it at once. A folder is put in place whole by a rename under `lock`, which is held for renames
//! only; who uses a folder has a shared `flock` on it, who removes it an exclusive one. A process that ends, however it
//! ends, holds nothing any more, and what it left in `tmp` goes when the store is opened next.

mod folder;
mod kernels;
mod making;
mod snapshots;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::card::{ImageCard, is_digest, is_hex};
use super::error::{ImageError, failed};
use super::kernel::Sought;
use super::source::Source;
use super::stored::Image;
use folder::Folder;
use kernels::read_json;

pub(super) use folder::{Draft, Held, show};
pub(super) use kernels::{Kernel, digest_of};
use making::Whole;
pub use making::{Making, Told};
pub(super) use making::{There, blocking};

/// Fewer digits of a digest than these are a name.
const SHORTEST: usize = 6;

/// The node's store of images and kernels.
#[derive(Debug, Clone)]
pub struct Store {
    folder: Folder,
}

/// An image as `albatros vm image list` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// By which it is known.
    pub digest: String,
    /// Names that lead to it, in order.
    pub names: Vec<String>,
    /// Bytes of its root file system as it lies there.
    pub size: u64,
    /// Files, directories and links in it.
    pub entries: u64,
    /// The version of the kernel that boots it; empty if that is gone.
    pub kernel: String,
    /// When it was put there.
    pub made: Option<SystemTime>,
    /// Whether a run has it.
    pub used: bool,
}

/// What `remove` has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// The name alone: the image has others.
    Name,
    /// The image, of so many bytes.
    Image(u64),
}

/// A name's file.
#[derive(Debug, Serialize, Deserialize)]
struct NameCard {
    name: String,
    digest: String,
}

impl Store {
    /// Opens the store in `dir`, which is made where it is missing, and removes what was left half-made there.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub fn open(dir: &Path) -> Result<Self, ImageError> {
        let store = Self { folder: Folder::open(dir)? };
        // A store that may only be read is swept by who may write it.
        let _ = store.folder.sweep();
        Ok(store)
    }

    /// The image of a name, a digest, or its first digits. As long as the answer is there it is not removed.
    ///
    /// # Errors
    /// When the store cannot be read, several digests begin so, or no kernel is there to boot it.
    pub fn find(&self, reference: &str) -> Result<Option<Image>, ImageError> {
        match self.digest_of(reference)? {
            Some(digest) => self.image(&digest),
            None => Ok(None),
        }
    }

    /// All images, those with names first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, ImageError> {
        // Looking whether an image is used keeps another process from removing it. A store that may only be read has
        // nobody who does.
        let _changing = self.folder.change().ok();
        let all = self.name_cards()?;
        let mut listed = Vec::new();
        for digest in names(&self.folder.images())? {
            let dir = self.folder.image(&digest);
            let Some(card) = read_json::<ImageCard>(&dir.join("image.json"))? else { continue };
            let kernel = self.kernel_of(&digest).and_then(|kernel| self.stored_kernel(&kernel).ok()?);
            listed.push(Listed {
                names: names_for(&all, &digest),
                size: card.size,
                entries: card.entries,
                kernel: kernel.map(|kernel| kernel.version).unwrap_or_default(),
                made: fs::metadata(dir.join("image.json")).and_then(|data| data.modified()).ok(),
                used: Held::alone(&dir)?.is_none(),
                digest,
            });
        }
        listed.sort_by(|one, other| {
            let key = |image: &Listed| (image.names.is_empty(), image.names.clone(), image.digest.clone());
            key(one).cmp(&key(other))
        });
        Ok(listed)
    }

    /// Removes a name; and with the last one, or by its digest, the image, and what only it needed.
    ///
    /// # Errors
    /// When there is no such image, or a run uses it.
    pub fn remove(&self, reference: &str) -> Result<Removed, ImageError> {
        let draft = self.draft()?;
        let _changing = self.folder.change()?;
        let unknown = || ImageError::Unknown(reference.to_owned());
        let digest = self.digest_of(reference)?.ok_or_else(unknown)?;
        let dir = self.folder.image(&digest);
        let names = names_for(&self.name_cards()?, &digest);
        if let Some(name) = names.iter().find(|name| *name == Source::name_in(reference)).filter(|_| names.len() > 1) {
            let path = self.name_path(name);
            fs::remove_file(&path).map_err(failed(&path, "removed"))?;
            return Ok(Removed::Name);
        }
        let Some(_alone) = Held::alone(&dir)? else { return Err(ImageError::Used(reference.to_owned())) };
        let size = read_json::<ImageCard>(&dir.join("image.json"))?.map_or(0, |card| card.size);
        for name in names {
            let path = self.name_path(&name);
            fs::remove_file(&path).map_err(failed(&path, "removed"))?;
        }
        self.folder.take_away(&dir, &draft)?;
        self.drop_unused(&self.wanted_kernels()?, &draft)?;
        Ok(Removed::Image(size))
    }

    pub(super) fn draft(&self) -> Result<Draft, ImageError> {
        self.folder.draft()
    }

    /// Puts a whole image in place, with its name and its kernel.
    fn adopt(&self, whole: &Whole, name: &str, kernel: &Kernel) -> Result<Image, ImageError> {
        let draft = self.draft()?;
        let _changing = self.folder.change()?;
        let digest = whole.digest();
        let place = self.folder.image(digest);
        match whole {
            Whole::Made { at, .. } => self.folder.settle(at, &place)?,
            Whole::There(_held) => {}
        }
        self.folder.write(&place.join("kernel"), kernel.digest.as_bytes(), &draft)?;
        let card = NameCard { name: name.to_owned(), digest: digest.to_owned() };
        let json = serde_json::to_vec(&card).unwrap_or_default();
        self.folder.write(&self.name_path(name), &json, &draft)?;
        self.drop_unused(&self.wanted_kernels()?, &draft)?;
        self.image(digest)?.ok_or_else(|| ImageError::Unknown(name.to_owned()))
    }

    /// The image of that digest, held; none if it is not there whole.
    fn image(&self, digest: &str) -> Result<Option<Image>, ImageError> {
        let dir = self.folder.image(digest);
        let Some(held) = Held::shared(&dir)? else { return Ok(None) };
        let Some(card) = read_json::<ImageCard>(&dir.join("image.json"))? else { return Ok(None) };
        let root = dir.join("root.squashfs");
        let size = fs::metadata(&root).map_err(failed(&root, "read"))?.len();
        if size != card.size {
            return Err(ImageError::Source(format!(
                "{} has {size} bytes and not {}; remove the image and build it again",
                root.display(),
                card.size
            )));
        }
        let kernel = self.kernel_of(digest).map(|kernel| self.stored_kernel(&kernel)).transpose()?.flatten();
        let kernel = kernel.map_or_else(|| self.kernel(&Sought::default()), Ok)?;
        Ok(Some(Image {
            digest: digest.to_owned(),
            names: names_for(&self.name_cards()?, digest),
            root,
            kernel: kernel.file(),
            modules: kernel.modules(),
            config: card.config,
            boots: kernel,
            _held: held,
            initrds: Mutex::default(),
        }))
    }

    /// Which image is meant, if there is one.
    fn digest_of(&self, reference: &str) -> Result<Option<String>, ImageError> {
        let name = Source::name_in(reference);
        if let Some(card) = read_json::<NameCard>(&self.name_path(name))? {
            return Ok(is_digest(&card.digest).then_some(card.digest));
        }
        let digits = reference.strip_prefix("sha256:").unwrap_or(reference);
        if digits.len() < SHORTEST || !is_hex(digits) {
            return Ok(None);
        }
        let mut all = names(&self.folder.images())?.into_iter().filter(|digest| digest.starts_with(digits));
        match (all.next(), all.next()) {
            (one, None) => Ok(one),
            (_, Some(_)) => Err(ImageError::Ambiguous(reference.to_owned())),
        }
    }

    fn kernel_of(&self, digest: &str) -> Option<String> {
        // Without it, the newest kernel boots the image.
        let text = fs::read_to_string(self.folder.image(digest).join("kernel")).ok()?;
        is_digest(&text).then_some(text)
    }

    fn wanted_kernels(&self) -> Result<Vec<String>, ImageError> {
        let images = names(&self.folder.images())?;
        Ok(images.iter().filter_map(|digest| self.kernel_of(digest)).collect())
    }

    fn name_path(&self, name: &str) -> std::path::PathBuf {
        self.folder.names().join(hex::encode(Sha256::digest(name)))
    }

    fn name_cards(&self) -> Result<Vec<NameCard>, ImageError> {
        let dir = self.folder.names();
        let mut cards = Vec::new();
        for sum in names(&dir)? {
            cards.extend(read_json::<NameCard>(&dir.join(sum))?);
        }
        cards.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(cards)
    }
}

fn names_for(cards: &[NameCard], digest: &str) -> Vec<String> {
    cards.iter().filter(|card| card.digest == digest).map(|card| card.name.clone()).collect()
}

/// Digests in a folder of the store, in order.
fn names(dir: &Path) -> Result<Vec<String>, ImageError> {
    let entries = fs::read_dir(dir).map_err(failed(dir, "read"))?.flatten();
    let mut names: Vec<_> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| is_digest(name));
    names.sort();
    Ok(names)
}
