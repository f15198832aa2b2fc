//! An image as a run has it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::card::ImageConfig;
use super::error::ImageError;
use super::initrd;
use super::kernel::Sought;
use super::store::{Held, Kernel, Store};

/// An image of the store and the kernel that boots it. As long as this is there, neither is removed.
#[derive(Debug)]
pub struct Image {
    /// By which it is known, 64 hexadecimal digits.
    pub digest: String,
    /// Names that lead to it.
    pub names: Vec<String>,
    /// `root.squashfs`.
    pub root: PathBuf,
    /// `vmlinuz`.
    pub kernel: PathBuf,
    /// `modules.cpio`: `/modules/NN-name.ko`, in the order in which they are loaded. One that ends with `.ko.xz` is
    /// unpacked by the kernel (`MODULE_INIT_COMPRESSED_FILE`).
    pub modules: PathBuf,
    /// What it says about its programs.
    pub config: ImageConfig,
    pub(super) boots: Kernel,
    pub(super) _held: Held,
    pub(super) initrds: Mutex<Vec<Held>>,
}

impl Image {
    /// The machine's first root with `program` as `/init`; made once for each program and kernel.
    ///
    /// # Errors
    /// When the program is not static, or files cannot be read or written.
    pub fn initrd(&self, program: &Path, store: &Store) -> Result<PathBuf, ImageError> {
        let (path, held) = initrd::find_or_make(program, &self.boots, store)?;
        self.initrds.lock().unwrap_or_else(PoisonError::into_inner).push(held);
        Ok(path)
    }

    /// The same image with another kernel, for this run alone.
    ///
    /// # Errors
    /// When there is no such kernel, or it lacks what a machine needs.
    pub fn with_kernel(mut self, sought: &Sought, store: &Store) -> Result<Self, ImageError> {
        let kernel = store.kernel(sought)?;
        self.kernel = kernel.file();
        self.modules = kernel.modules();
        self.boots = kernel;
        Ok(self)
    }

    /// The kernel's version.
    #[must_use]
    pub fn kernel_version(&self) -> &str {
        &self.boots.version
    }
}
