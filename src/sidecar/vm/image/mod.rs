//! Root filesystems and kernels, kept on the node by what they hold.
//!
//! ```text
//! docker: podman: ─▶ image save ─┐                      ┌▶ layers ─▶ tree + spool ─▶ root.squashfs ─┐
//! oci:DIR|FILE ──────────────────┼▶ configuration, layers┤                                          ├▶ store
//! registry/name:tag ─▶ download ─┘                      └ every digest checked                      │
//! tar:FILE, - ───────────────────▶ one tree ───────────────────────────────▶ root.squashfs ─────────┘
//! /boot, /lib/modules ─▶ kernel, modules in load order ─▶ store ─▶ initrd, one for each program and kernel
//! ```
//! An image is what strangers packed: names, links and sizes in it are checked before anything is written, nothing of it
//! is ever put on this machine's own file system by name, and memory does not grow with it but by its names.

mod card;
mod cpio;
mod error;
#[cfg(test)]
mod fake;
mod initrd;
mod kernel;
mod layers;
mod source;
mod store;
mod stored;

pub use card::ImageConfig;
pub use error::ImageError;
pub use kernel::Sought;
pub use source::{Engine, Source};
pub use store::{Listed, Making, Removed, Store, Told};
pub use stored::Image;
