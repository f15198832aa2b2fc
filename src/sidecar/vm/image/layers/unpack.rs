//! One layer: read, checked by its sums, and laid upon those before it.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::super::error::ImageError;
use super::super::source::Layer;
use super::packer::Packer;
use super::slice::Spool;
use super::tree::{Attributes, Tree, What};
use crate::sidecar::pack::{Kind, Limits, Links, Member, Members, PackError, Why, names};

/// What all layers of an image unpack to at most, and each of them.
pub(super) const LIMITS: Limits = Limits { bytes: 64 << 30, entries: 1_000_000, depth: 100, links: Links::Inside };
/// Copied at once, bytes.
const PIECE: usize = 256 * 1024;
/// What may stand behind a packed archive's end, bytes.
const BEHIND: u64 = 16 << 20;

/// Counts the sum of what is read through it.
struct Summed<R> {
    from: R,
    sum: Rc<RefCell<Sha256>>,
}

impl<R: Read> Read for Summed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.sum.borrow_mut().update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

pub(super) fn layer(layer: &Layer, what: &str, tree: &mut Tree, spool: &mut Spool) -> Result<(), ImageError> {
    let failed = |source| ImageError::layer(what, source);
    let damaged = |error| failed(PackError::Damaged(error));
    let (packed, plain) = (Rc::<RefCell<Sha256>>::default(), Rc::<RefCell<Sha256>>::default());
    let packer = Packer::of(&layer.blob).map_err(damaged)?;
    let mut blob = Summed { from: layer.blob.clone(), sum: Rc::clone(&packed) };
    {
        let unpacked = packer.unpack(&mut blob).map_err(damaged)?;
        let mut archive = Members::new(Summed { from: unpacked, sum: Rc::clone(&plain) }, LIMITS);
        while let Some(member) = archive.next().map_err(failed)? {
            add(&member, &mut archive, tree, spool).map_err(failed)?;
        }
    }
    // Behind the archive there may be some more; it belongs to the sum.
    let behind = io::copy(&mut (&mut blob).take(BEHIND), &mut io::sink()).map_err(damaged)?;
    let sum = |sum: &RefCell<Sha256>| hex::encode(sum.borrow().clone().finalize());
    let is_right = |said: &Option<String>, sum: String| said.as_ref().is_none_or(|said| *said == sum);
    if behind == BEHIND || !is_right(&layer.digest, sum(&packed)) || !is_right(&layer.unpacked, sum(&plain)) {
        return Err(failed(PackError::Sum("its sum is not the one that the image names")));
    }
    Ok(())
}

fn add<R: Read>(
    member: &Member,
    archive: &mut Members<R>,
    tree: &mut Tree,
    spool: &mut Spool,
) -> Result<(), PackError> {
    let path = names::plain(&rooted(&member.path))?;
    let refused = |why| Err(PackError::refused(&member.path, why));
    if names::depth(&path) >= LIMITS.depth {
        return refused(Why::Depth(LIMITS.depth));
    }
    if path.is_empty() && member.kind != Kind::Directory {
        return refused(Why::Strange);
    }
    if spool.at().saturating_add(member.size) > LIMITS.bytes {
        return refused(Why::Bytes(LIMITS.bytes));
    }
    if tree.takes_away(&path, member)? {
        return Ok(());
    }
    let what = match member.kind {
        Kind::Directory => What::Directory,
        Kind::Link => What::Link(member.link.clone()),
        Kind::Twin => return tree.twin(&path, &names::plain(&rooted(&member.link))?),
        Kind::Fifo => What::Fifo,
        Kind::Device => return tree.device(&path),
        Kind::File => {
            let at = spool.at();
            copy(&path, archive.data(), spool)?;
            What::File { at, size: member.size }
        }
    };
    tree.add(&path, Attributes::of(member), what)
}

/// Some packers write names from the root on; the root is the image's.
fn rooted(path: &[u8]) -> Vec<u8> {
    let slashes = path.iter().take_while(|byte| **byte == b'/').count();
    path.get(slashes..).unwrap_or_default().to_owned()
}

fn copy(path: &[u8], mut from: impl Read, to: &mut Spool) -> Result<(), PackError> {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read.map_err(PackError::Damaged)?,
        };
        let piece = buffer.get(..read).unwrap_or_default();
        to.write_all(piece).map_err(|error| PackError::file(path, "written", error))?;
    }
}
