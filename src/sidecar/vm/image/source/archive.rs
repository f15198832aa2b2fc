//! An archive whose members are found by name and read where they lie.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;

use super::super::error::{ImageError, failed};
use super::super::layers::{Packer, Slice};
use super::Draft;
use crate::sidecar::pack::{Kind, Limits, Links, Members, PackError, Why, names};

/// What an image in an archive has at most: layers and a few cards each.
const LIMITS: Limits = Limits { bytes: 64 << 30, entries: 10_000, depth: 16, links: Links::Inside };
/// The longest name, bytes; they are in memory.
const NAME_MOST: usize = 4096;
/// Names that lead to another name, one after the other.
const STEPS: usize = 4;

/// An archive of blobs.
#[derive(Debug)]
pub(super) struct Archive {
    whole: Slice,
    members: HashMap<Vec<u8>, Member>,
}

#[derive(Debug)]
enum Member {
    At(u64, u64),
    /// `docker save` of old writes a layer that it has written before as a link to it.
    Link(Vec<u8>),
}

impl Archive {
    /// Reads its names; a packed one is unpacked first.
    pub(super) fn open(path: &Path, draft: &Draft) -> Result<Self, ImageError> {
        let whole = Slice::whole(path)?;
        let packer = Packer::of(&whole).map_err(failed(path, "read"))?;
        let whole = match packer {
            Packer::None => whole,
            packer => {
                let at = draft.path().join("unpacked.tar");
                let mut file = File::create(&at).map_err(failed(&at, "made"))?;
                let mut bytes = io::Read::take(packer.unpack(whole).map_err(failed(path, "read"))?, LIMITS.bytes);
                io::copy(&mut bytes, &mut file).map_err(failed(path, "unpacked"))?;
                Slice::whole(&at)?
            }
        };
        let layer = |source| ImageError::layer(&path.display().to_string(), source);
        let mut archive = Members::new(whole.clone(), LIMITS);
        let mut members = HashMap::new();
        while let Some(member) = archive.next().map_err(layer)? {
            let name = names::plain(&member.path).map_err(layer)?;
            if name.len().max(member.link.len()) > NAME_MOST {
                return Err(layer(PackError::refused(&name, Why::Names)));
            }
            let found = match member.kind {
                Kind::File => Member::At(archive.source().at(), member.size),
                Kind::Link => Member::Link(beside(&name, &member.link)),
                Kind::Twin => Member::Link(names::plain(&member.link).map_err(layer)?),
                Kind::Directory | Kind::Device | Kind::Fifo => continue,
            };
            members.insert(name, found);
        }
        Ok(Self { whole, members })
    }

    /// What a member holds; none if there is no such member.
    pub(super) fn get(&self, name: &str) -> Option<Slice> {
        let mut name = name.as_bytes();
        for _ in 0..STEPS {
            match self.members.get(name)? {
                Member::At(at, size) => return Some(self.whole.part(*at, *size)),
                Member::Link(target) => name = target,
            }
        }
        None
    }
}

/// Where a link leads, seen from the archive's root. One that leads nowhere names nothing.
fn beside(name: &[u8], link: &[u8]) -> Vec<u8> {
    let (above, _) = names::split(name);
    let mut parts: Vec<&[u8]> = above.split(|byte| *byte == b'/').filter(|part| !part.is_empty()).collect();
    for part in link.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join(&b'/')
}
