//! The tree as a squashfs: read-only, packed, read block by block by any kernel.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use backhand::compression::{CompressionOptions, Compressor, Zstd};
use backhand::{BackhandError, FilesystemCompressor, FilesystemWriter, NodeHeader};

use super::super::error::{ImageError, failed};
use super::slice::Slice;
use super::tree::{Attributes, Tree, What};

/// Quick to pack and quick to unpack; machines without KVM unpack in emulation.
const LEVEL: u32 = 1;

pub(super) fn write(tree: &Tree, spool: &Slice, to: &Path) -> Result<(), ImageError> {
    let squash = |error: BackhandError| ImageError::Squash(Box::new(error));
    let mut fs = FilesystemWriter::default();
    let options = CompressionOptions::Zstd(Zstd { compression_level: LEVEL });
    fs.set_compressor(FilesystemCompressor::new(Compressor::Zstd, Some(options)).map_err(squash)?);
    fs.set_time(0);
    for (path, node) in tree.nodes() {
        let header = header(&node.attributes);
        if path.as_os_str().is_empty() {
            fs.set_root_mode(header.permissions);
            fs.set_root_uid(header.uid);
            fs.set_root_gid(header.gid);
            continue;
        }
        let pushed = match &node.what {
            What::Directory => fs.push_dir(path, header),
            What::File { at, size } => fs.push_file(spool.part(*at, *size), path, header),
            What::Link(target) => fs.push_symlink(OsStr::from_bytes(target), path, header),
            What::Fifo => fs.push_fifo(path, header),
        };
        pushed.map_err(squash)?;
    }
    let file = OpenOptions::new().create_new(true).write(true).read(true).open(to).map_err(failed(to, "made"))?;
    let mut out = std::io::BufWriter::with_capacity(1 << 20, file);
    let (_superblock, size) = fs.write(&mut out).map_err(squash)?;
    let file = out.into_inner().map_err(|error| ImageError::file(to, "written", error.into_error()))?;
    // A duplicate at the end is written before it is known to be one.
    file.set_len(size).and_then(|()| file.sync_all()).map_err(failed(to, "written"))
}

fn header(attributes: &Attributes) -> NodeHeader {
    let Attributes { mode, uid, gid, mtime } = *attributes;
    NodeHeader::new(mode, uid, gid, mtime)
}
