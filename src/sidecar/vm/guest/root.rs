//! The machine's root: the image's disk, which is never written, below a disk of this run's own.
//!
//! Nothing in it has devices or keeps a set user: `sudo` works in no machine.

use std::ffi::CString;
use std::fs::{OpenOptions, create_dir_all};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat, open, syncfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind, mount_move, mount_remount, move_mount, open_tree,
};
use rustix::process::{chdir, chroot};

use super::error::{GuestError, doing};
use super::kernel::{entry_where, wait_for};

/// This program, where the kernel started it.
const PROGRAM: &str = "/init";
const PLAIN: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// What is kept of before the root.
pub(super) struct Entered {
    /// This program.
    pub(super) program: OwnedFd,
    disk: OwnedFd,
}

impl Entered {
    /// Waits until all that was written since then is on the machine's disk. What the kernel writes later than the script did
    /// fails where no process hears of it: this does.
    pub(super) async fn written(self) -> Result<(), GuestError> {
        let synced = tokio::task::spawn_blocking(move || syncfs(&self.disk)).await;
        synced.map_err(|_ended| Errno::IO).flatten().map_err(doing("writing to the run's disk"))
    }
}

/// Puts the root together and goes there. What the machine was started from cannot be reached by any name afterwards.
/// Gives this program, to be shown in the new root, and the disk.
pub(super) async fn enter() -> Result<Entered, GuestError> {
    let image = wait_for("disk named root", || disk("root")).await?;
    let own = wait_for("disk named scratch", || disk("scratch")).await?;
    for dir in ["/lower", "/scratch", "/root"] {
        create_dir_all(dir).map_err(doing(format!("making {dir}")))?;
    }
    mount(&image, "/lower", "squashfs", PLAIN | MountFlags::RDONLY, None).map_err(doing("mounting the image"))?;
    // A disk that cannot be read or written ends the machine: a script is not to go on with half of its files.
    let options = c"errors=panic";
    mount(&own, "/scratch", "ext4", PLAIN | MountFlags::NOATIME, options)
        .map_err(doing("mounting the run's own disk"))?;
    for dir in ["/scratch/upper", "/scratch/work"] {
        create_dir_all(dir).map_err(doing(format!("making {dir}")))?;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let disk = open("/scratch", flags, Mode::empty()).map_err(doing("keeping the run's own disk"))?;
    let layers = c"lowerdir=/lower,upperdir=/scratch/upper,workdir=/scratch/work";
    mount("overlay", "/root", "overlay", PLAIN, layers).map_err(doing("mounting the root"))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let program = open_tree(CWD, PROGRAM, flags).map_err(doing("keeping this program"))?;
    chdir("/root").map_err(doing("going to the root"))?;
    mount_move(".", "/").map_err(doing("moving the root"))?;
    chroot(".").map_err(doing("changing the root"))?;
    chdir("/").map_err(doing("going to the root"))?;
    Ok(Entered { program, disk })
}

fn disk(serial: &str) -> Option<String> {
    entry_where("/sys/block", "serial", serial).map(|name| format!("/dev/{name}"))
}

/// The kernel's own filesystems and a few devices in the new root: none of a disk, and not the port to the host.
pub(super) fn furnish() -> Result<(), GuestError> {
    let still = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount_at("proc", "/proc", still, Some("hidepid=invisible"))?;
    mount_at("sysfs", "/sys", still, None)?;
    mount_at("cgroup2", "/sys/fs/cgroup", still, None)?;
    let devices = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount_at("tmpfs", "/dev", devices, Some("mode=755,size=1m"))?;
    for (name, major, minor) in
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)]
    {
        let made = mknodat(CWD, format!("/dev/{name}"), FileType::CharacterDevice, mode(0o666), makedev(major, minor));
        made.map_err(doing(format!("making /dev/{name}")))?;
        rustix::fs::chmod(format!("/dev/{name}"), mode(0o666)).map_err(doing(format!("opening /dev/{name}")))?;
    }
    mount_at("devpts", "/dev/pts", devices, Some("newinstance,ptmxmode=0666,mode=0620"))?;
    mount_at("tmpfs", "/dev/shm", still, Some("mode=1777"))?;
    for (name, to) in [
        ("ptmx", "pts/ptmx"),
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(to, format!("/dev/{name}")).map_err(doing(format!("making /dev/{name}")))?;
    }
    Ok(())
}

/// A tmpfs that holds no program and no device.
pub(super) fn memory(at: &str, options: &str) -> Result<(), GuestError> {
    mount_at("tmpfs", at, MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC, Some(options))
}

/// Shows this program at a path, never to be written.
pub(super) fn show(program: &OwnedFd, at: &Path) -> Result<(), GuestError> {
    let failed = || format!("showing this program at {}", at.display());
    OpenOptions::new().create(true).append(true).open(at).map_err(doing(failed()))?;
    move_mount(program, "", CWD, at, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).map_err(doing(failed()))?;
    mount_remount(at, MountFlags::BIND | MountFlags::RDONLY | PLAIN, c"").map_err(doing(failed()))
}

/// Makes a folder one that is never written.
pub(super) fn freeze(at: &Path) -> Result<(), GuestError> {
    let failed = || format!("closing the folder {}", at.display());
    mount_bind(at, at).map_err(doing(failed()))?;
    mount_remount(at, MountFlags::BIND | MountFlags::RDONLY | PLAIN, c"").map_err(doing(failed()))
}

fn mount_at(kind: &str, at: &str, flags: MountFlags, options: Option<&str>) -> Result<(), GuestError> {
    create_dir_all(at).map_err(doing(format!("making {at}")))?;
    let options = options.map(CString::new).transpose().map_err(doing(format!("mounting {at}")))?;
    match mount(kind, at, kind, flags, options.as_deref()) {
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(error) => Err(doing(format!("mounting {at}"))(error)),
    }
}

fn mode(bits: u32) -> Mode {
    Mode::from_raw_mode(bits)
}
