//! What comes before anything else: the kernel's own filesystems, its modules, and the devices that they find.

use std::fs::{File, create_dir_all, read_dir, read_to_string};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::system::finit_module;
use tokio::time::{Instant, sleep};

use super::error::{GuestError, doing};

/// Devices are there at once; a slow node takes its time.
pub(super) const DEVICE_WITHIN: Duration = Duration::from_secs(20);
/// `MODULE_INIT_COMPRESSED_FILE`: the kernel unpacks the module itself.
const COMPRESSED_FILE: i32 = 4;
/// Between two looks.
pub(super) const LOOK: Duration = Duration::from_millis(2);
/// Where the host has put them, named in their order.
const MODULES: &str = "/modules";
/// The modules of what a run brings along: its disks and its random numbers.
pub(super) const DEVICES: [&str; 2] = ["virtio_blk", "virtio_rng"];
/// The one of a card, which few machines have.
pub(super) const CARD: [&str; 1] = ["virtio_net"];

/// Mounts `/proc`, `/sys` and `/dev` where init was started.
pub(super) fn mount_own() -> Result<(), GuestError> {
    let secure = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    for (kind, at, flags) in
        [("proc", "/proc", secure), ("sysfs", "/sys", secure), ("devtmpfs", "/dev", MountFlags::NOSUID)]
    {
        create_dir_all(at).map_err(doing(format!("making {at}")))?;
        match mount(kind, at, kind, flags, None) {
            Ok(()) | Err(Errno::BUSY) => {}
            Err(error) => return Err(doing(format!("mounting {at}"))(error)),
        }
    }
    Ok(())
}

/// Loads what the host has given for every machine, in the order of the names.
pub(super) fn load_modules() -> Result<(), GuestError> {
    load(|name| !DEVICES.contains(&name) && !CARD.contains(&name))
}

/// Loads these, which are behind all that they need.
pub(super) fn load_devices(names: &[&str]) -> Result<(), GuestError> {
    load(|name| names.contains(&name))
}

/// Whether the host has given it, and it is not loaded yet.
pub(super) fn has_module(name: &str) -> bool {
    modules().iter().any(|file| module(file) == Some(name))
}

fn modules() -> Vec<PathBuf> {
    // A kernel that has all of it in itself is given none.
    let entries = read_dir(MODULES).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|file| module(file).is_some()).collect();
    files.sort();
    files
}

/// `virtio_blk` of `/modules/03-virtio_blk.ko`, or of `.ko.xz`.
fn module(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    let name = name.strip_suffix(".ko").or_else(|| name.strip_suffix(".ko.xz"))?;
    Some(name.split_once('-').map_or(name, |(_, name)| name))
}

fn load(wanted: impl Fn(&str) -> bool) -> Result<(), GuestError> {
    for path in modules().into_iter().filter(|file| module(file).is_some_and(&wanted)) {
        let failed = || format!("loading the module {}", path.display());
        let file = File::open(&path).map_err(doing(failed()))?;
        let flags = if path.extension().is_some_and(|ending| ending == "xz") { COMPRESSED_FILE } else { 0 };
        match finit_module(&file, c"", flags) {
            // In the kernel itself, or a device that this machine does not have.
            Ok(()) | Err(Errno::EXIST | Errno::NODEV) => {}
            Err(error) => return Err(doing(failed())(error)),
        }
        // It is memory, and a copy of it is loaded.
        let _ = std::fs::remove_file(&path);
    }
    Ok(())
}

/// Waits until `look` finds something.
pub(super) async fn wait_for<T>(what: &'static str, look: impl Fn() -> Option<T>) -> Result<T, GuestError> {
    let end = Instant::now() + DEVICE_WITHIN;
    loop {
        match look() {
            Some(found) => return Ok(found),
            None if Instant::now() < end => sleep(LOOK).await,
            None => return Err(GuestError::Missing { what, within: DEVICE_WITHIN }),
        }
    }
}

/// The entry of a folder in `/sys` whose file `attribute` says `is`.
pub(super) fn entry_where(folder: &str, attribute: &str, is: &str) -> Option<String> {
    let says = |path: &Path| read_to_string(path.join(attribute)).is_ok_and(|text| text.trim_end() == is);
    let found = read_dir(folder).ok()?.flatten().find(|entry| says(&entry.path()))?;
    found.file_name().into_string().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_known_by_its_name_without_its_place_in_the_order() {
        let of = |path: &str| module(Path::new(path)).map(str::to_owned);
        assert_eq!(of("/modules/03-virtio_blk.ko").as_deref(), Some("virtio_blk"));
        assert_eq!(of("/modules/10-virtio_rng.ko.xz").as_deref(), Some("virtio_rng"));
        assert_eq!(of("/modules/README"), None);
    }
}
