//! What is packed comes out as it went in; everything else is refused with its name.

mod hostile;
mod races;
mod round;
mod sources;

use std::io::Cursor;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tar::{EntryType, Header};

use super::{Incoming, Limits, Links, PackError, Packed, Selection, names, write};
use crate::domain::blob::Packing;
use crate::sidecar::trusted::directory;

const SMALL: Limits = Limits { bytes: 1 << 20, entries: 50, depth: 5, links: Links::Inside };

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Packs with these limits; none of the paths is looked at first.
fn pack(root: &Path, paths: &[&str], limits: Limits) -> Result<Vec<u8>, PackError> {
    let paths: Vec<Vec<u8>> = paths.iter().map(|path| names::plain(path.as_bytes())).collect::<Result<_, _>>()?;
    let mut bytes = Cursor::new(Vec::new());
    write::write(&directory(root).unwrap(), &paths, &limits, &mut bytes)?;
    Ok(bytes.into_inner())
}

/// Unpacks an archive, as it would arrive.
async fn unpack(archive: &[u8], target: &Path, limits: Limits) -> Result<Packed, PackError> {
    let mut incoming = Incoming::start(target, Packing::Archive, "archive", limits).unwrap();
    for piece in archive.chunks(1000) {
        if !incoming.feed(Bytes::copy_from_slice(piece)).await {
            break;
        }
    }
    incoming.finish(None, None).await
}

/// The refusal that these words are in.
fn refused<T: std::fmt::Debug>(done: Result<T, PackError>, words: &str) {
    let error = done.unwrap_err();
    assert!(error.to_string().contains(words), "{error} does not say {words}");
}

/// One member as it stands in an archive.
fn member(name: &str, kind: EntryType, link: &str, data: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_mtime(1);
    header.set_size(data.len() as u64);
    header.set_uid(0);
    header.set_gid(0);
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An archive of these members.
fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    zstd::encode_all(Cursor::new([members.concat(), vec![0; 1024]].concat()), 1).unwrap()
}

/// All that lies below, by name.
fn below(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut rest = vec![root.to_owned()];
    while let Some(dir) = rest.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            found.push(entry.path().strip_prefix(root).unwrap().to_owned());
            if entry.file_type().unwrap().is_dir() {
                rest.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// All pieces of what goes out.
async fn sent(selection: &Selection) -> (Packing, Option<String>, Option<u64>, Result<Vec<u8>, PackError>) {
    let outgoing = selection.start().unwrap();
    let (packing, name, size) = (outgoing.packing, outgoing.name.clone(), outgoing.size);
    let (stream, verdict) = outgoing.into_stream();
    let pieces: Vec<_> = std::pin::pin!(stream).collect().await;
    let bytes = pieces.iter().flatten().flat_map(|piece| piece.to_vec()).collect();
    let told = verdict.take().unwrap();
    assert_eq!(told.is_err(), pieces.iter().any(Result::is_err));
    (packing, name, size, told.map(|_| bytes))
}
