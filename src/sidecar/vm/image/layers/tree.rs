//! All names of an image, with what each of them is.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ffi::OsStr;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::unpack::LIMITS;
use crate::sidecar::pack::{Kind, Member, PackError, Why, names};

/// A name that takes another one away (<https://github.com/opencontainers/image-spec/blob/main/layer.md>).
const WHITEOUT: &[u8] = b".wh.";
/// A name that takes away all that its directory held in the layers before.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other names of that kind are a file system's own.
const RESERVED: &[u8] = b".wh..wh.";
/// Owners of one image: the format numbers them with 16 bits, and they are looked for one by one.
const OWNERS_MOST: usize = 4096;

/// The longest name, and the longest part of one: no system opens longer ones.
const PATH_MOST: usize = 4096;
const PART_MOST: usize = 255;
/// All names of an image and where its links lead, bytes: they are in memory.
const NAMES_MOST: usize = 256 << 20;

/// What a name is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Directory,
    /// A part of the spool.
    File {
        at: u64,
        size: u64,
    },
    Link(Vec<u8>),
    Fifo,
}

/// Whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: u32,
}

impl Attributes {
    /// Of a directory that no archive names.
    pub(super) const PLAIN: Self = Self { mode: 0o755, uid: 0, gid: 0, mtime: 0 };

    pub(super) fn of(member: &Member) -> Self {
        Self {
            mode: u16::try_from(member.mode & 0o7777).unwrap_or(0o755),
            uid: member.uid,
            gid: member.gid,
            mtime: u32::try_from(member.mtime).unwrap_or(u32::MAX),
        }
    }
}

/// A name's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) attributes: Attributes,
    pub(super) what: What,
    /// The layer that brought it.
    layer: usize,
}

/// The names of an image, as paths without the first slash; the root is the empty one.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<PathBuf, Node>,
    owners: HashSet<u32>,
    whiteouts: bool,
    layer: usize,
    left_out: u64,
    /// Bytes of all names that were ever added.
    names: usize,
}

impl Tree {
    pub(super) fn new(whiteouts: bool) -> Self {
        let root = Node { attributes: Attributes::PLAIN, what: What::Directory, layer: 0 };
        let nodes = BTreeMap::from([(PathBuf::new(), root)]);
        Self { nodes, owners: HashSet::new(), whiteouts, layer: 0, left_out: 0, names: 0 }
    }

    pub(super) fn next_layer(&mut self) {
        self.layer += 1;
    }

    /// Each above what is in it.
    pub(super) fn nodes(&self) -> impl Iterator<Item = (&Path, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_path(), node))
    }

    pub(super) fn len(&self) -> u64 {
        self.nodes.len() as u64
    }

    /// Device nodes that were not taken.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    pub(super) fn add(&mut self, path: &[u8], attributes: Attributes, what: What) -> Result<(), PackError> {
        let target = if let What::Link(target) = &what { target.len() } else { 0 };
        let is_long = path.split(|byte| *byte == b'/').any(|part| part.len() > PART_MOST);
        if is_long || path.len().max(target) > PATH_MOST {
            return Err(PackError::refused(path, Why::Names));
        }
        self.count(path, path.len() + target)?;
        self.make_way(path)?;
        let key = key(path);
        let was_directory = self.nodes.get(&key).is_some_and(|node| node.what == What::Directory);
        if was_directory && what != What::Directory {
            if path.is_empty() {
                return Err(PackError::refused(path, Why::Strange));
            }
            self.remove(&key, usize::MAX);
        }
        self.owners.extend([attributes.uid, attributes.gid]);
        if self.owners.len() > OWNERS_MOST {
            return Err(PackError::refused(path, Why::Owners(OWNERS_MOST)));
        }
        self.nodes.insert(key, Node { attributes, what, layer: self.layer });
        let most = LIMITS.entries;
        if self.len() > most { Err(PackError::refused(path, Why::Entries(most))) } else { Ok(()) }
    }

    fn count(&mut self, path: &[u8], names: usize) -> Result<(), PackError> {
        self.names += names;
        if self.names > NAMES_MOST { Err(PackError::refused(path, Why::Names)) } else { Ok(()) }
    }

    /// A second name of a file.
    pub(super) fn twin(&mut self, path: &[u8], first: &[u8]) -> Result<(), PackError> {
        let outward = || PackError::refused(path, Why::Outward(names::Name::of(first)));
        let node = self.nodes.get(&key(first)).ok_or_else(outward)?;
        if node.what == What::Directory {
            return Err(outward());
        }
        let (attributes, what) = (node.attributes, node.what.clone());
        self.add(path, attributes, what)
    }

    /// A device: in `/dev` it is left out, a machine makes its own; anywhere else nobody wants one.
    pub(super) fn device(&mut self, path: &[u8]) -> Result<(), PackError> {
        if !path.starts_with(b"dev/") {
            return Err(PackError::refused(path, Why::Device));
        }
        self.left_out += 1;
        Ok(())
    }

    /// Whether the name takes something away instead of bringing something; then it is done.
    pub(super) fn takes_away(&mut self, path: &[u8], member: &Member) -> Result<bool, PackError> {
        let (above, last) = names::split(path);
        if !self.whiteouts || !last.starts_with(WHITEOUT) {
            return Ok(false);
        }
        let refused = |why| Err(PackError::refused(&member.path, why));
        if !matches!(member.kind, Kind::File | Kind::Twin | Kind::Link) {
            return refused(Why::Strange);
        }
        let layer = self.layer;
        if last == OPAQUE {
            let dir = key(above);
            for name in self.below(&dir) {
                self.remove(&name, layer);
            }
            return Ok(true);
        }
        if last.starts_with(RESERVED) {
            return Ok(true);
        }
        let name = last.strip_prefix(WHITEOUT).unwrap_or_default();
        if matches!(name, b"" | b"." | b"..") {
            return refused(Why::Strange);
        }
        self.remove(&key(&names::join(above, name)), layer);
        Ok(true)
    }

    /// What is directly in a directory.
    fn below(&self, dir: &Path) -> Vec<PathBuf> {
        let inside = self.nodes.range::<Path, _>((Bound::Excluded(dir), Bound::Unbounded));
        let inside = inside.map(|(path, _)| path).take_while(|path| path.starts_with(dir));
        inside.filter(|path| path.parent() == Some(dir)).cloned().collect()
    }

    /// Removes a name and all beneath it, as far as layers before `layer` brought it. A directory stays as long as
    /// something in it does.
    fn remove(&mut self, path: &Path, layer: usize) {
        let beneath = self.nodes.range::<Path, _>((Bound::Included(path), Bound::Unbounded));
        let beneath = beneath.take_while(|(name, _)| name.starts_with(path));
        let all: Vec<(PathBuf, bool)> = beneath.map(|(name, node)| (name.clone(), node.layer < layer)).collect();
        let mut kept = BTreeSet::new();
        for (name, is_older) in all.into_iter().rev() {
            if is_older && !kept.contains(&name) {
                self.nodes.remove(&name);
            } else if let Some(above) = name.parent() {
                kept.insert(above.to_owned());
            }
        }
    }

    /// All directories above a name; what was another thing is in the way.
    fn make_way(&mut self, path: &[u8]) -> Result<(), PackError> {
        if path.is_empty() {
            return Ok(());
        }
        let key = key(path);
        let mut missing = Vec::new();
        for above in key.ancestors().skip(1) {
            match self.nodes.get(above).map(|node| &node.what) {
                Some(What::Directory) => break,
                Some(_) => return Err(PackError::refused(path, Why::Through)),
                None => missing.push(above.to_owned()),
            }
        }
        for above in missing {
            self.count(path, above.as_os_str().len())?;
            let node = Node { attributes: Attributes::PLAIN, what: What::Directory, layer: self.layer };
            self.nodes.insert(above, node);
        }
        Ok(())
    }
}

fn key(path: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(path))
}
