//! When each step was done, on the console; only where the kernel's line says `albatros.trace`.

use std::io::Write as _;

use rustix::time::{ClockId, clock_gettime};

/// On the kernel's line.
const FLAG: &str = "albatros.trace";

/// Says when steps are done, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Trace(bool);

impl Trace {
    /// Once `/proc` is there.
    pub(super) fn read() -> Self {
        let line = std::fs::read_to_string("/proc/cmdline").unwrap_or_default();
        Self(line.split_whitespace().any(|word| word == FLAG))
    }

    /// This step is done: since the kernel's start.
    pub(super) fn done(self, step: &str) {
        if self.0 {
            let now = clock_gettime(ClockId::Boottime);
            // A console that takes nothing is no reason to stop.
            let _ = writeln!(std::io::stderr(), "albatros: {:>3}.{:03} {step}", now.tv_sec, now.tv_nsec / 1_000_000);
        }
    }
}
