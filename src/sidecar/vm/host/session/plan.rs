//! What a session is about, and how long its steps may take.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;

use super::super::door::Door;
use super::super::folders::Folder;
use super::super::output::Sink;
use crate::domain::vm::Setup;
use crate::sidecar::pack::Limits;

/// Folders in and out, which may be large.
const SETUP: Duration = Duration::from_secs(600);
/// Beyond the script's own time after a stop: its machine kills it first, and all that it has left, and then says how it has
/// ended. With much to do on the node that is not at once.
const LINGER: Duration = Duration::from_secs(10);
/// With the usual time of a script, and the above, less than Nomad waits before it kills.
const BACK_AFTER_STOP: Duration = Duration::from_secs(4);

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Within {
    /// Until `booted`.
    pub(in super::super) boot: Duration,
    /// From there until `running`, and from `done` until the folders are back: large ones take their time.
    pub(in super::super) setup: Duration,
    /// From a stop until its end.
    pub(in super::super) grace: Duration,
    /// From its end after a stop until the folders are back, at least.
    pub(in super::super) back: Duration,
}

impl Within {
    /// Where a kernel may take `boot`, and a script `grace` after a stop.
    pub(in super::super) fn of(boot: Duration, grace: Duration) -> Self {
        Self { boot, setup: SETUP, grace: grace.saturating_add(LINGER), back: BACK_AFTER_STOP }
    }
}

/// What a machine is to be, and what belongs to it here.
pub(in super::super) struct Plan {
    pub(in super::super) setup: Setup,
    pub(in super::super) folders: Vec<Folder>,
    pub(in super::super) limits: Limits,
    pub(in super::super) door: Option<Arc<Door>>,
    /// Connections to the build's service come in here.
    pub(in super::super) service: Option<UnixListener>,
    pub(in super::super) stdout: Option<Sink>,
    pub(in super::super) stderr: Option<Sink>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_ignores_a_stop_is_killed_in_its_machine_before_that_is_given_up() {
        for grace in [0, 8, 3_600].map(Duration::from_secs) {
            assert!(Within::of(Duration::ZERO, grace).grace > grace);
        }
        assert!(Within::of(Duration::ZERO, Duration::MAX).grace == Duration::MAX);
    }
}
