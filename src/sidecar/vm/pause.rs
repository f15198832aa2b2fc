//! Where a machine waits before it is anybody's: what it is there can be kept, and begun from as often as is wanted.
//!
//! Before its link it says one byte, and hears one.

/// The machine's: nothing in it is of a run yet, so that all that are begun from here differ.
pub(super) const ALIKE: u8 = b'A';
/// The machine's: its kernel has looked at disks, or made random numbers that others would make again.
pub(super) const NOT_ALIKE: u8 = b'N';
/// The host's: from here on it is one run's.
pub(super) const GO: u8 = b'G';
/// Of a kernel's line, so that it takes no random numbers before the pause for good ones.
pub(super) const NO_TRUST: &str = "random.trust_cpu=off random.trust_bootloader=off";
