//! What a local build's controller leaves of the script's report: nobody asks it over the network here.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;

use super::rooms::{self, Room};
use crate::domain::report::Report;
use crate::domain::runner::{self, CONTROLLER};

/// A report as JSON is not longer than this; the script shares the controller's user, and could put anything there.
const LONGEST: u64 = 512 * 1024;

/// The report of a build, while it runs or afterwards; none where nothing was reported.
pub(super) fn of(dir: &Path) -> Option<Report> {
    let kept = dir.join(runner::REPORT);
    let live = rooms::of_task(dir, CONTROLLER, Room::Local).join(runner::REPORT);
    read(&kept).or_else(|_none| read(&live)).ok()
}

/// Keeps the report beyond the controller's room.
pub(super) fn keep(dir: &Path) -> io::Result<()> {
    let live = rooms::of_task(dir, CONTROLLER, Room::Local).join(runner::REPORT);
    match std::fs::rename(live, dir.join(runner::REPORT)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Err(_) | Ok(()) => Ok(()),
    }
}

fn read(path: &Path) -> io::Result<Report> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(serde_json::from_slice(&bytes)?)
}
