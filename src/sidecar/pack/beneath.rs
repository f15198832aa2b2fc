//! Opening what lies beneath a directory, and nothing else: no link on the way is followed, and nothing leads out.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::{Errno, Result};

/// A rename on the same machine may make the kernel unsure of what lies beneath; then it is asked again, so often.
const TRIES: u32 = 64;

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Whether this system has no `openat2` (before Linux 5.6, or where a container's rules hide it).
static WITHOUT: AtomicBool = AtomicBool::new(false);

/// Opens `path`, a plain name, beneath `dir`; an empty one is `dir` itself.
pub(super) fn open(dir: impl AsFd, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let path = OsStr::from_bytes(if path.is_empty() { b"." } else { path });
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if !WITHOUT.load(Ordering::Relaxed) {
        for _ in 0..TRIES {
            match openat2(dir.as_fd(), path, flags, mode, RESOLVE) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::NOSYS | Errno::PERM) => {
                    WITHOUT.store(true, Ordering::Relaxed);
                    break;
                }
                opened => return opened,
            }
        }
    }
    step_by_step(dir.as_fd(), Path::new(path), flags, mode)
}

/// The same without `openat2`: one part at a time, none of which may be a link.
fn step_by_step(dir: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let way = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut at = openat(dir, ".", way, Mode::empty())?;
    let mut parts = path.components().peekable();
    while let Some(part) = parts.next() {
        let name = match part {
            Component::CurDir => OsStr::new("."),
            Component::Normal(name) => name,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Errno::XDEV),
        };
        if parts.peek().is_none() {
            return openat(&at, name, flags, mode);
        }
        at = openat(&at, name, way, Mode::empty())?;
    }
    Err(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::sidecar::trusted::directory;

    #[test]
    fn nothing_is_opened_through_a_link_or_outward_with_or_without_openat2() {
        let tree = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tree.path().join("a/b")).unwrap();
        std::fs::write(tree.path().join("a/b/c"), "c").unwrap();
        symlink("a", tree.path().join("in")).unwrap();
        symlink("/etc", tree.path().join("out")).unwrap();
        let root = directory(tree.path()).unwrap();
        let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for path in ["a/b/c", "a", "."] {
            assert!(open(&root, path.as_bytes(), OFlags::RDONLY, Mode::empty()).is_ok(), "{path}");
            assert!(step_by_step(root.as_fd(), Path::new(path), read, Mode::empty()).is_ok(), "{path}");
        }
        for path in ["in/b/c", "in", "out/passwd", "out", "../x", "/etc/passwd", "a/b/nothing"] {
            assert!(open(&root, path.as_bytes(), OFlags::RDONLY, Mode::empty()).is_err(), "{path}");
            assert!(step_by_step(root.as_fd(), Path::new(path), read, Mode::empty()).is_err(), "{path}");
        }
    }
}
