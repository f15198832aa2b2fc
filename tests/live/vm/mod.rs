//! Builds in microVMs, on a real qemu: by `albatros vm` alone, and with a real Nomad around it.
//!
//! Each needs qemu, a kernel of this machine with its modules, mke2fs, busybox, and in `ALBATROS_STATIC` a static
//! program (`.ci/run` brings them along). One machine runs at a time: an emulated one takes a whole processor.

mod hostile;
mod image;
mod killed;
mod left;
mod mounts;
mod network;
mod node;
mod outcome;
mod parts;
mod pull;
mod runner;
mod shape;
mod snapshot;
mod stops;
mod story;
mod values;
mod workspace;
