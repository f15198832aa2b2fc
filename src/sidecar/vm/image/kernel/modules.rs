//! Which modules, in which order: by depmod's own lists, as modprobe reads them.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::super::error::{ImageError, failed};

/// A machine does not come to its workspace without these.
const NEEDED: &[&str] = &["virtio_mmio", "virtio_blk", "virtio_console", "overlay", "squashfs", "ext4"];
/// The network, better random numbers, and the sums of file systems where kernels have these apart.
const WANTED: &[&str] = &["virtio_net", "virtio_rng", "crc32c_generic", "crc32c_cryptoapi"];
/// How a module's file may end.
const ENDINGS: &[&str] = &[".ko", ".ko.zst", ".ko.gz", ".ko.xz"];
/// A module, unpacked, has at most so many bytes.
const MODULE_MOST: u64 = 64 << 20;
/// One of depmod's lists.
const LIST_MOST: u64 = 64 << 20;

/// The modules' files, each behind those that it needs.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Chosen {
    pub(super) files: Vec<PathBuf>,
}

struct Known {
    /// Path in the folder and what it needs, by name.
    modules: HashMap<String, (PathBuf, Vec<String>)>,
    builtin: HashSet<String>,
}

impl Chosen {
    pub(super) fn read(dir: &Path, version: &str) -> Result<Self, ImageError> {
        let known = Known::read(dir)?;
        let missing: Vec<_> = NEEDED.iter().copied().filter(|name| !known.has(name)).collect();
        if !missing.is_empty() {
            return Err(ImageError::Kernel(format!(
                "the kernel {version} has no {}; a machine needs it, name another kernel with --kernel and --modules",
                missing.join(", ")
            )));
        }
        let (mut order, mut seen) = (Vec::new(), HashSet::new());
        for name in NEEDED.iter().chain(WANTED) {
            known.add(name, &mut order, &mut seen);
        }
        Ok(Self { files: order.into_iter().map(|file| dir.join(file)).collect() })
    }
}

impl Known {
    fn read(dir: &Path) -> Result<Self, ImageError> {
        let mut modules = HashMap::new();
        for line in list(&dir.join("modules.dep"))?.lines() {
            let Some((path, needs)) = line.split_once(':') else { continue };
            let needs = needs.split_whitespace().map(name).collect();
            modules.insert(name(path), (PathBuf::from(path), needs));
        }
        let builtin = list(&dir.join("modules.builtin"))?.lines().map(name).collect();
        Ok(Self { modules, builtin })
    }

    fn has(&self, name: &str) -> bool {
        self.builtin.contains(name) || self.modules.contains_key(name)
    }

    /// The module behind what it needs. What was seen is not looked at again, so a circle ends.
    fn add(&self, name: &str, order: &mut Vec<PathBuf>, seen: &mut HashSet<String>) {
        let Some((path, needs)) = self.modules.get(name) else { return };
        if self.builtin.contains(name) || !seen.insert(name.to_owned()) {
            return;
        }
        for need in needs {
            self.add(need, order, seen);
        }
        order.push(path.clone());
    }
}

fn list(path: &Path) -> Result<String, ImageError> {
    let file = File::open(path).map_err(failed(path, "read"))?;
    let mut text = String::new();
    file.take(LIST_MOST).read_to_string(&mut text).map_err(failed(path, "read"))?;
    Ok(text)
}

/// A module's name by its file's: without folder and ending, `-` as `_`, as the kernel has it.
fn name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path).trim();
    let plain = ENDINGS.iter().find_map(|ending| file.strip_suffix(ending)).unwrap_or(file);
    plain.replace('-', "_")
}

/// A module's file name and its bytes. Those packed with xz stay so: the kernel unpacks them when it is told to.
pub(super) fn unpacked(path: &Path) -> Result<(String, Vec<u8>), ImageError> {
    let shown = path.to_string_lossy();
    let plain = name(&shown);
    let file = BufReader::new(File::open(path).map_err(failed(path, "read"))?);
    let bytes = match () {
        () if shown.ends_with(".zst") => {
            let unpacker = zstd::Decoder::with_buffer(file).map_err(failed(path, "unpacked"))?;
            bounded(unpacker, path)?
        }
        () if shown.ends_with(".gz") => bounded(flate2::bufread::MultiGzDecoder::new(file), path)?,
        () => bounded(file, path)?,
    };
    let ending = if shown.ends_with(".xz") { ".ko.xz" } else { ".ko" };
    Ok((format!("{plain}{ending}"), bytes))
}

fn bounded(from: impl Read, path: &Path) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    from.take(MODULE_MOST + 1).read_to_end(&mut bytes).map_err(failed(path, "unpacked"))?;
    if bytes.len() as u64 > MODULE_MOST {
        return Err(ImageError::Kernel(format!("{} is too large for a module", path.display())));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use super::*;

    const DEP: &str = "kernel/virtio_mmio.ko: kernel/virtio.ko kernel/virtio_ring.ko\n\
        kernel/virtio.ko:\nkernel/virtio_ring.ko: kernel/virtio.ko\n\
        kernel/virtio_blk.ko.zst: kernel/virtio.ko kernel/virtio_ring.ko\nkernel/virtio_console.ko:\n\
        kernel/overlay.ko.gz:\nkernel/squashfs.ko:\nkernel/virtio-rng.ko: kernel/virtio.ko\nkernel/other.ko:\n";

    fn node(dep: &str, builtin: &str) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("modules.dep"), dep).unwrap();
        fs::write(dir.path().join("modules.builtin"), builtin).unwrap();
        dir
    }

    #[test]
    fn modules_come_behind_what_they_need_and_built_in_ones_not_at_all() {
        let dir = node(DEP, "kernel/fs/ext4/ext4.ko\n");
        let chosen = Chosen::read(dir.path(), "6.1").unwrap();
        let names: Vec<_> = chosen.files.iter().map(|file| name(&file.to_string_lossy())).collect();
        let expected = ["virtio", "virtio_ring", "virtio_mmio", "virtio_blk", "virtio_console"];
        assert_eq!(&names[..5], expected);
        assert_eq!(&names[5..], ["overlay", "squashfs", "virtio_rng"]);
    }

    #[test]
    fn a_kernel_that_lacks_a_file_system_is_refused_by_its_name() {
        let dir = node(DEP, "");
        let error = Chosen::read(dir.path(), "6.1.0-1").unwrap_err();
        assert!(error.to_string().contains("6.1.0-1 has no ext4"), "{error}");
    }

    #[test]
    fn modules_that_need_each_other_are_taken_once() {
        let circle = format!("{DEP}kernel/ext4.ko: kernel/mbcache.ko\nkernel/mbcache.ko: kernel/ext4.ko\n");
        let chosen = Chosen::read(node(&circle, "").path(), "6.1").unwrap();
        assert_eq!(chosen.files.iter().filter(|file| file.ends_with("kernel/ext4.ko")).count(), 1);
    }

    #[test]
    fn packed_modules_are_unpacked() {
        let dir = tempfile::tempdir().unwrap();
        let zst = dir.path().join("a-b.ko.zst");
        fs::write(&zst, zstd::encode_all(&b"module"[..], 1).unwrap()).unwrap();
        assert_eq!(unpacked(&zst).unwrap(), ("a_b.ko".to_owned(), b"module".to_vec()));
        let gz = dir.path().join("c.ko.gz");
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(b"module").unwrap();
        fs::write(&gz, packer.finish().unwrap()).unwrap();
        assert_eq!(unpacked(&gz).unwrap(), ("c.ko".to_owned(), b"module".to_vec()));
        let xz = dir.path().join("d.ko.xz");
        fs::write(&xz, "packed").unwrap();
        assert_eq!(unpacked(&xz).unwrap(), ("d.ko.xz".to_owned(), b"packed".to_vec()));
    }
}
