//! Switching the machine off, whatever has happened.

use rustix::system::{RebootCommand, reboot};

use super::Inside;

impl Inside {
    /// Ends the machine. A container's process just ends; the kernel's first process must not.
    pub(super) fn off(self) {
        match self {
            Self::Krun => {}
            Self::Machine | Self::Paused => {
                rustix::fs::sync();
                // The engine starts no machine again: a restart is the fastest end, and every machine knows it.
                let _ = reboot(RebootCommand::Restart);
                let _ = reboot(RebootCommand::PowerOff);
            }
        }
    }

    /// A defect of init's own ends the machine too, and does not leave it standing.
    pub(super) fn end_on_panic(self) {
        let said = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            said(panic);
            self.off();
        }));
    }
}
