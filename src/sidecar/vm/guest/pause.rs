//! The machine before it is anybody's.

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::error::{GuestError, doing};
use super::kernel::{DEVICES, has_module, wait_for};
use super::port::Port;
use crate::sidecar::vm::pause::{ALIKE, GO, NOT_ALIKE};

/// Says whether this machine can be many, and waits to be one.
pub(super) async fn pause(port: &mut Port) -> Result<(), GuestError> {
    let word = if is_alike() { ALIKE } else { NOT_ALIKE };
    let failed = || doing("waiting to be somebody's machine");
    port.write_all(&[word]).await.map_err(failed())?;
    loop {
        if port.read_u8().await.map_err(failed())? == GO {
            return Ok(());
        }
    }
}

/// Its kernel has read no disk, gives no random numbers yet, and will have a source of good ones.
fn is_alike() -> bool {
    let disks = std::fs::read_dir("/sys/block").map(|entries| entries.flatten().any(|disk| is_ours(&disk.file_name())));
    !disks.unwrap_or(true) && !is_random() && DEVICES.iter().all(|name| has_module(name))
}

fn is_ours(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with("vd")
}

/// Waits until the kernel has random numbers of its own: those of a machine that was kept would be everybody's.
pub(super) async fn random() -> Result<(), GuestError> {
    wait_for("source of random numbers", || is_random().then_some(())).await
}

/// Whether they may be used for keys: until then nothing is read there (random(4)).
fn is_random() -> bool {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let one = open("/dev/random", flags, Mode::empty()).and_then(|random| read(&random, &mut [0_u8]));
    // Any other refusal is none of its being early.
    one != Err(Errno::AGAIN)
}
