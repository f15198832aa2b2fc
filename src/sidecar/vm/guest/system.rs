//! What a machine is told about itself: the time, its name, what its random numbers begin with, and its people.

use std::fs::{File, OpenOptions, remove_file};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, setrlimit, umask};
use rustix::system::sethostname;
use rustix::time::{ClockId, Timespec, clock_settime};

use super::error::{GuestError, doing};
use crate::domain::vm::Setup;

/// The longest `/etc/passwd` that is read.
const LIST_MOST: u64 = 1 << 20;
/// Files a process may have open: as many as in a container.
const FILES: u64 = 1 << 20;

/// What needs no root: time, name, seed, limits.
pub(super) fn tell(setup: &Setup) -> Result<(), GuestError> {
    let (seconds, rest) = (setup.now_ms / 1000, setup.now_ms % 1000);
    let nanoseconds = i64::try_from(rest * 1_000_000).unwrap_or_default();
    let now = Timespec { tv_sec: i64::try_from(seconds).unwrap_or_default(), tv_nsec: nanoseconds };
    forgive(clock_settime(ClockId::Realtime, now)).map_err(doing("setting the clock"))?;
    forgive(sethostname(setup.hostname.as_bytes())).map_err(doing("setting the machine's name"))?;
    if let Ok(seed) = hex::decode(&setup.seed) {
        // It is mixed in; where there is no such device yet, the kernel has its own.
        let _ = OpenOptions::new().write(true).open("/dev/urandom").and_then(|mut random| random.write_all(&seed));
    }
    let files = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    forgive(setrlimit(Resource::Nofile, files)).map_err(doing("setting how many files may be open"))?;
    let none = Rlimit { current: Some(0), maximum: None };
    forgive(setrlimit(Resource::Core, none)).map_err(doing("setting that no memory is dumped"))?;
    umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// In a container these are set already, and not ours to set.
fn forgive(set: Result<(), Errno>) -> Result<(), Errno> {
    match set {
        Err(Errno::PERM) => Ok(()),
        set => set,
    }
}

/// Names for the machine and its loopback.
pub(super) fn name(setup: &Setup) -> Result<(), GuestError> {
    std::fs::create_dir_all("/etc").map_err(doing("making /etc"))?;
    let hosts = format!("127.0.0.1\tlocalhost {0}\n::1\tlocalhost {0}\n", setup.hostname);
    write("/etc/hosts", &hosts)?;
    write("/etc/hostname", &format!("{}\n", setup.hostname))
}

/// The workload's user and group, where an image has none of these numbers.
pub(super) fn people(setup: &Setup) -> Result<(), GuestError> {
    person("/etc/passwd", setup.uid, &format!("build:x:{}:{}::/local:/bin/sh", setup.uid, setup.gid))?;
    person("/etc/group", setup.gid, &format!("build:x:{}:", setup.gid))
}

/// Where names are asked for.
pub(super) fn ask_at(servers: &[IpAddr]) -> Result<(), GuestError> {
    let lines: String = servers.iter().map(|server| format!("nameserver {server}\n")).collect();
    write("/etc/resolv.conf", &lines)
}

/// A line for a number that has none, at the list's end.
fn person(list: &str, number: u32, line: &str) -> Result<(), GuestError> {
    let failed = || doing(format!("reading {list}"));
    let mut text = Vec::new();
    match File::open(list) {
        Ok(file) => file.take(LIST_MOST).read_to_end(&mut text).map(drop).map_err(failed())?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed()(error)),
    }
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if has(&text, number) {
        return Ok(());
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(line);
    text.push('\n');
    write(list, &text)
}

/// Whether a list such as `/etc/passwd` has somebody with this number.
fn has(list: &str, number: u32) -> bool {
    list.lines().any(|line| line.split(':').nth(2).is_some_and(|text| text.parse() == Ok(number)))
}

/// A new file in the place of whatever is there: a link of the image's is not followed.
fn write(path: &str, text: &str) -> Result<(), GuestError> {
    put(Path::new(path), text, 0o644).map_err(doing(format!("writing {path}")))
}

/// A new file in the place of whatever is there, with this mode.
pub(super) fn put(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    match remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Err(_) | Ok(()) => {}
    }
    let nofollow = i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or_default();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).custom_flags(nofollow).open(path)?;
    file.write_all(text.as_bytes())
}

/// A folder of the workload's.
pub(super) fn own(path: &Path, setup: &Setup) -> Result<(), GuestError> {
    let failed = || doing(format!("making {}", path.display()));
    std::fs::create_dir_all(path).map_err(failed())?;
    chown(path, Some(setup.uid), Some(setup.gid)).map_err(failed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_is_known_by_the_number_and_not_by_the_name() {
        let list = "root:x:0:0::/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n1001:x:7:1001:::\nodd";
        assert!(has(list, 0) && has(list, 1000) && has(list, 7));
        assert!(!has(list, 1001) && !has(list, 100));
    }

    #[test]
    fn a_person_is_added_once_behind_a_list_without_a_last_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join("passwd");
        std::fs::write(&list, "root:x:0:0::/:/bin/sh").unwrap();
        for _ in 0..2 {
            person(list.to_str().unwrap(), 1000, "build:x:1000:1000::/local:/bin/sh").unwrap();
        }
        let text = std::fs::read_to_string(&list).unwrap();
        assert_eq!(text, "root:x:0:0::/:/bin/sh\nbuild:x:1000:1000::/local:/bin/sh\n");
    }

    #[test]
    fn a_link_of_the_images_is_replaced_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (victim, link) = (dir.path().join("victim"), dir.path().join("resolv.conf"));
        std::fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        put(&link, "nameserver 10.0.2.3\n", 0o644).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "mine");
        assert!(!std::fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
