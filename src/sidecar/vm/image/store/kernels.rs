//! Kernels and initrds of the store.

use std::fs::{self, File};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Timespec, Timestamps, UTIME_NOW};
use sha2::{Digest as _, Sha256};

use super::super::card::is_digest;
use super::super::error::{ImageError, failed};
use super::super::kernel::{Installed, KernelCard, Sought};
use super::folder::{Draft, Held, show};
use super::{Store, names};

/// Kernels of another format are read anew.
const FORMAT: &[u8] = b"albatros kernel v1\0";
/// A card, bytes.
pub(super) const CARD_MOST: u64 = 4 << 20;
/// An initrd that no run has wanted for so long goes.
const INITRD_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A kernel of the store.
#[derive(Debug)]
pub(in super::super) struct Kernel {
    pub(in super::super) digest: String,
    pub(in super::super) version: String,
    dir: PathBuf,
    _held: Held,
}

impl Kernel {
    pub(in super::super) fn file(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    pub(in super::super) fn modules(&self) -> PathBuf {
        self.dir.join("modules.cpio")
    }
}

impl Store {
    /// The kernel that is meant, put into the store if it is not there yet. On a node without `/boot` it is the newest one
    /// of the store.
    pub(in super::super) fn kernel(&self, sought: &Sought) -> Result<Kernel, ImageError> {
        match sought.installed()? {
            Some(installed) => self.add_kernel(&installed),
            None => self.newest_kernel()?.ok_or_else(|| {
                ImageError::Kernel(
                    "there is no kernel with modules in /boot and /lib/modules, nor one in the store; install one, or \
                     name it with --kernel FILE and --modules DIR"
                        .to_owned(),
                )
            }),
        }
    }

    fn add_kernel(&self, installed: &Installed) -> Result<Kernel, ImageError> {
        let draft = self.draft()?;
        let made = draft.path().join("kernel");
        fs::create_dir(&made).map_err(failed(&made, "made"))?;
        let (file, modules) = (made.join("vmlinuz"), made.join("modules.cpio"));
        fs::copy(&installed.file, &file).map_err(failed(&installed.file, "read"))?;
        show(&file)?;
        let out = BufWriter::new(File::create(&modules).map_err(failed(&modules, "made"))?);
        let (card, mut out) = installed.pack_modules(out, &modules)?;
        out.flush().map_err(failed(&modules, "written"))?;
        let json = serde_json::to_vec(&card).unwrap_or_default();
        fs::write(made.join("kernel.json"), json).map_err(failed(&made, "written"))?;
        let mut sum = Sha256::new();
        sum.update(FORMAT);
        sum.update(card.version.as_bytes());
        for path in [&file, &modules] {
            sum.update(digest_of(path)?);
        }
        let digest = hex::encode(sum.finalize());
        let place = self.folder.kernels().join(&digest);
        let _changing = self.folder.change()?;
        self.folder.settle(&made, &place)?;
        let gone = || ImageError::file(&place, "opened", io::Error::from(io::ErrorKind::NotFound));
        self.stored_kernel(&digest)?.ok_or_else(gone)
    }

    /// The kernel of that digest, if it is there.
    pub(super) fn stored_kernel(&self, digest: &str) -> Result<Option<Kernel>, ImageError> {
        let dir = self.folder.kernels().join(digest);
        let Some(held) = is_digest(digest).then(|| Held::shared(&dir)).transpose()?.flatten() else { return Ok(None) };
        let Some(card) = read_json::<KernelCard>(&dir.join("kernel.json"))? else { return Ok(None) };
        let kernel = Kernel { digest: digest.to_owned(), version: card.version, dir, _held: held };
        // One from before it was made so; in a store that may only be read it stays as it is.
        let _ = show(&kernel.file());
        Ok(Some(kernel))
    }

    fn newest_kernel(&self) -> Result<Option<Kernel>, ImageError> {
        let mut newest: Option<Kernel> = None;
        for digest in names(&self.folder.kernels())? {
            let Some(kernel) = self.stored_kernel(&digest)? else { continue };
            let is_newer = |than: &Kernel| Installed::is_newer(&kernel.version, &than.version);
            if newest.as_ref().is_none_or(is_newer) {
                newest = Some(kernel);
            }
        }
        Ok(newest)
    }

    /// The initrd of that digest, if it is there; from now on it is held, and young again.
    pub(in super::super) fn initrd(&self, digest: &str) -> Result<Option<(PathBuf, Held)>, ImageError> {
        let dir = self.folder.initrds().join(digest);
        let Some(held) = Held::shared(&dir)? else { return Ok(None) };
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        // A store that may only be read has somebody else who keeps it.
        let _ = held.touch(&Timestamps { last_access: now, last_modification: now });
        let file = dir.join("initrd");
        let _ = show(&file);
        Ok(Some((file, held)))
    }

    pub(in super::super) fn add_initrd(&self, made: &Path, digest: &str) -> Result<(PathBuf, Held), ImageError> {
        let place = self.folder.initrds().join(digest);
        let _changing = self.folder.change()?;
        self.folder.settle(made, &place)?;
        let gone = || ImageError::file(&place, "opened", io::Error::from(io::ErrorKind::NotFound));
        self.initrd(digest)?.ok_or_else(gone)
    }

    /// Takes away kernels that no image has, and initrds of no kernel or of no use. The store must not change meanwhile.
    pub(super) fn drop_unused(&self, wanted: &[String], draft: &Draft) -> Result<(), ImageError> {
        for digest in names(&self.folder.kernels())? {
            let dir = self.folder.kernels().join(&digest);
            self.folder.take_unheld(&dir, draft, || Ok(!wanted.contains(&digest)))?;
        }
        for digest in names(&self.folder.initrds())? {
            let dir = self.folder.initrds().join(&digest);
            let is_unwanted = || {
                let card = read_json::<serde_json::Value>(&dir.join("initrd.json"))?.unwrap_or_default();
                let kernel = card.get("kernel").and_then(|kernel| kernel.as_str()).unwrap_or_default();
                let age = fs::metadata(&dir).and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
                Ok(!self.folder.kernels().join(kernel).is_dir() || age.is_some_and(|age| age >= INITRD_LIFE))
            };
            self.folder.take_unheld(&dir, draft, is_unwanted)?;
        }
        Ok(())
    }
}

/// A card of the store; none if it is not there.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, ImageError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(failed(path, "read"))?,
    };
    let parsed = serde_json::from_reader(io::BufReader::new(file.take(CARD_MOST)));
    parsed.map(Some).map_err(|error| ImageError::file(path, "read", io::Error::from(error)))
}

/// Sum of a file.
pub(in super::super) fn digest_of(path: &Path) -> Result<[u8; 32], ImageError> {
    let mut file = File::open(path).map_err(failed(path, "read"))?;
    let mut sum = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(sum.finalize().into()),
            Ok(read) => sum.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImageError::file(path, "read", error)),
        }
    }
}
