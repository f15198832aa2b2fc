//! Layers of an image, one upon the other, and the file system that comes out.
//!
//! Names, owners and times are in memory; what files hold goes to one file of ours, the spool, and from there into the
//! squashfs. So nothing is put on this machine's own file system by a name that an image has.

mod packer;
mod slice;
mod squash;
mod tree;
mod unpack;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::error::ImageError;
use super::source::Parts;
use super::store::Told;

pub(super) use packer::Packer;
pub(super) use slice::Slice;

use slice::Spool;
use tree::Tree;

/// Unpacks all layers and writes the file system to `root`; says how many entries it has.
pub(super) fn assemble(parts: &Parts, draft: &Path, root: &Path, told: &Told) -> Result<u64, ImageError> {
    let mut spool = Spool::new(&draft.join("spool"))?;
    let mut tree = Tree::new(parts.whiteouts);
    let count = parts.layers.len();
    for (at, layer) in parts.layers.iter().enumerate() {
        told(&format!("unpacking layer {} of {count}, {} MiB", at + 1, layer.blob.size() >> 20));
        unpack::layer(layer, &format!("layer {} of {count}", at + 1), &mut tree, &mut spool)?;
        tree.next_layer();
    }
    if tree.left_out() > 0 {
        told(&format!("{} device nodes in /dev are left out: a machine has its own", tree.left_out()));
    }
    told(&format!("writing {} files, directories and links", tree.len()));
    squash::write(&tree, &spool.finish()?, root)?;
    Ok(tree.len())
}
