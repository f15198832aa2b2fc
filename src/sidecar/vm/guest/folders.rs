//! Folders of the host, on their way into the machine and out of it.

use std::os::unix::fs::lchown;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use rustix::fs::{Mode, OFlags, open};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::error::{GuestError, doing};
use crate::domain::blob::Packing;
use crate::domain::vm::{Mount, Setup};
use crate::sidecar::pack::{self, Limits, Links, Selection};
use crate::sidecar::vm::link::{Link, Purpose};
use crate::sidecar::{reasons, say};

/// As long as a large folder may take; the host has its own limit.
const WITHIN: Duration = Duration::from_secs(60 * 60);
/// What is taken of the link at once.
const PIECE: usize = 64 << 10;

/// A folder's links lead where they lead, in the machine as at the host; nobody follows them on the way.
fn limits() -> Limits {
    Limits { links: Links::Anywhere, ..Limits::default() }
}

/// Brings a folder in, from the host.
pub(super) async fn bring(link: &Link, folder: &Mount) -> Result<(), GuestError> {
    let late = |_elapsed| GuestError::Late { what: "a folder of the host's", within: WITHIN };
    timeout(WITHIN, unpack(link, folder)).await.map_err(late)?
}

async fn unpack(link: &Link, folder: &Mount) -> Result<(), GuestError> {
    let mut stream = link.open(Purpose::In(folder.id.clone()))?;
    let failed = |error| GuestError::In(folder.at.clone(), error);
    let mut incoming =
        pack::Incoming::start(Path::new(&folder.at), Packing::Archive, "folder", limits()).map_err(failed)?;
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        let read = stream.read_buf(&mut buffer).await.map_err(doing(format!("receiving {}", folder.at)))?;
        if read == 0 || !incoming.feed(buffer.split().freeze()).await {
            break;
        }
    }
    incoming.finish(None, None).await.map(drop).map_err(failed)
}

/// Gives a folder and all that is in it to the workload's user. Nothing of the workload runs yet.
pub(super) fn give(folder: &Path, setup: &Setup) -> Result<(), GuestError> {
    let failed = || doing(format!("giving {} to the workload", folder.display()));
    let mut open = vec![folder.to_owned()];
    while let Some(path) = open.pop() {
        lchown(&path, Some(setup.uid), Some(setup.gid)).map_err(failed())?;
        if !std::fs::symlink_metadata(&path).map_err(failed())?.is_dir() {
            continue;
        }
        for entry in std::fs::read_dir(&path).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            if entry.file_type().map_err(failed())?.is_dir() {
                open.push(entry.path());
            } else {
                lchown(entry.path(), Some(setup.uid), Some(setup.gid)).map_err(failed())?;
            }
        }
    }
    Ok(())
}

/// Sends a folder out to the host. Where that fails, the stream is given up, and the host knows that it is not whole.
pub(super) async fn send(link: &Link, folder: &Mount) {
    match timeout(WITHIN, pack(link, folder)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => say(&format!("{} does not come back: {}", folder.at, reasons(&error))),
        Err(_elapsed) => say(&format!("{} does not come back: it took too long", folder.at)),
    }
}

async fn pack(link: &Link, folder: &Mount) -> Result<(), GuestError> {
    let mut stream = link.open(Purpose::Out(folder.id.clone()))?;
    let failed = || doing::<std::io::Error>(format!("packing {}", folder.at));
    // A link that the workload has put in its place leads nowhere.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = open(folder.at.as_str(), flags, Mode::empty()).map_err(|error| failed()(error.into()))?;
    let unpacked = |error| GuestError::In(folder.at.clone(), error);
    let all = Selection::within(Arc::new(root), &[String::new()], limits()).map_err(unpacked)?;
    let (pieces, verdict) = all.into_archive().start().map_err(unpacked)?.into_stream();
    let mut pieces = pin!(pieces);
    while let Some(piece) = pieces.next().await {
        let piece: Bytes = match (piece, verdict.take()) {
            (Ok(piece), _) => piece,
            (Err(_), Some(Err(error))) => return Err(unpacked(error)),
            (Err(error), _) => return Err(failed()(error)),
        };
        stream.write_all(&piece).await.map_err(failed())?;
    }
    stream.shutdown().await.map_err(failed())
}
