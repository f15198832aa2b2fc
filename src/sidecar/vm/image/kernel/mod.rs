//! What boots: a kernel of this node, and those of its modules that a machine needs.

mod modules;

use std::cmp::Ordering;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::cpio::Cpio;
use super::error::{ImageError, failed};

pub(super) use modules::Chosen;

/// Where distributions put kernels.
const BOOT: &str = "/boot";
/// Where they put modules, one folder a version.
const MODULES: &str = "/lib/modules";
/// How a kernel's file begins.
const PREFIX: &str = "vmlinuz-";

/// Which kernel is taken.
#[derive(Debug, Clone, Default)]
pub struct Sought {
    /// The kernel's file; none is the newest in `/boot` that has modules.
    pub kernel: Option<PathBuf>,
    /// Its modules' folder; none is the one in `/lib/modules` of the kernel's version.
    pub modules: Option<PathBuf>,
}

/// A kernel on this node, outside the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Installed {
    pub(super) version: String,
    pub(super) file: PathBuf,
    pub(super) modules: PathBuf,
}

/// What the store says of a kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct KernelCard {
    pub(super) version: String,
    /// In the order in which they are loaded.
    pub(super) modules: Vec<String>,
}

impl Sought {
    /// The kernel that is meant; none if none was named and this node has none.
    pub(super) fn installed(&self) -> Result<Option<Installed>, ImageError> {
        match (&self.kernel, &self.modules) {
            (Some(kernel), modules) => named(kernel, modules.as_deref()).map(Some),
            (None, Some(modules)) => {
                let version = last_part(modules);
                let file = Path::new(BOOT).join(format!("{PREFIX}{version}"));
                Ok(Some(Installed { version, file, modules: modules.clone() }))
            }
            (None, None) => Ok(newest(Path::new(BOOT), Path::new(MODULES))),
        }
    }
}

fn last_part(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn named(kernel: &Path, modules: Option<&Path>) -> Result<Installed, ImageError> {
    let name = last_part(kernel);
    let version = name.strip_prefix(PREFIX).unwrap_or(&name).to_owned();
    let modules = modules.map_or_else(|| Path::new(MODULES).join(&version), Path::to_owned);
    if !modules.join("modules.dep").is_file() {
        return Err(ImageError::Usage(format!(
            "{} has no modules.dep; --modules DIR says where the modules of {} are",
            modules.display(),
            kernel.display()
        )));
    }
    Ok(Installed { version, file: kernel.to_owned(), modules })
}

/// The newest kernel whose modules are there.
fn newest(boot: &Path, modules: &Path) -> Option<Installed> {
    // A node without /boot has no kernel, whatever the reason.
    let entries = fs::read_dir(boot).ok()?.flatten();
    let installed = entries.filter_map(|entry| {
        let version = entry.file_name().to_str()?.strip_prefix(PREFIX)?.to_owned();
        let modules = modules.join(&version);
        let found = Installed { version, file: entry.path(), modules };
        found.modules.join("modules.dep").is_file().then_some(found)
    });
    installed.max_by(|one, other| by_version(&one.version, &other.version))
}

/// Numbers as numbers, anything else as text.
fn by_version(one: &str, other: &str) -> Ordering {
    parts(one).cmp(&parts(other))
}

fn parts(version: &str) -> Vec<(u64, &str)> {
    let parts = version.split(['.', '-', '+', '_', '~']);
    parts.map(|part| part.parse().map_or((0, part), |number: u64| (number, ""))).collect()
}

impl Installed {
    pub(super) fn is_newer(version: &str, than: &str) -> bool {
        by_version(version, than) == Ordering::Greater
    }

    /// Writes the modules that a machine needs as an archive for its first root, and says which they are.
    pub(super) fn pack_modules<W: Write>(&self, out: W, at: &Path) -> Result<(KernelCard, W), ImageError> {
        let chosen = Chosen::read(&self.modules, &self.version)?;
        let mut cpio = Cpio::new(out);
        cpio.directory("modules").map_err(failed(at, "written"))?;
        let mut names = Vec::new();
        for (at_number, module) in chosen.files.iter().enumerate() {
            let (name, bytes) = modules::unpacked(module)?;
            // Those that are loaded first come first, also by name.
            let entry = format!("modules/{at_number:02}-{name}");
            cpio.file(&entry, bytes.len() as u64, bytes.as_slice()).map_err(failed(at, "written"))?;
            names.push(name);
        }
        let out = cpio.finish().map_err(failed(at, "written"))?;
        Ok((KernelCard { version: self.version.clone(), modules: names }, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_kernel_with_modules_is_taken() {
        let node = tempfile::tempdir().unwrap();
        let (boot, modules) = (node.path().join("boot"), node.path().join("modules"));
        fs::create_dir(&boot).unwrap();
        for version in ["6.1.0-9-amd64", "6.1.0-56-amd64", "6.2.0-1-amd64", "5.10.0-99-amd64"] {
            fs::write(boot.join(format!("vmlinuz-{version}")), "").unwrap();
            let dir = modules.join(version);
            fs::create_dir_all(&dir).unwrap();
            if version != "6.2.0-1-amd64" {
                fs::write(dir.join("modules.dep"), "").unwrap();
            }
        }
        assert_eq!(newest(&boot, &modules).unwrap().version, "6.1.0-56-amd64");
        assert_eq!(newest(&node.path().join("nothing"), &modules), None);
    }

    #[test]
    fn a_kernel_without_modules_is_refused_with_what_to_type() {
        let node = tempfile::tempdir().unwrap();
        let sought = Sought { kernel: Some(node.path().join("bzImage")), modules: Some(node.path().to_owned()) };
        let error = sought.installed().unwrap_err();
        assert!(error.to_string().contains("--modules"), "{error}");
    }
}
