//! The task's process: one run of a machine.

mod keep;
mod settings;

pub use keep::{KeepSettings, NOT_STARTED, keep};
pub use settings::{VmFlags, VmSettings, VmSettingsError};

/// Runs a build in a machine of its own; the answer is the process's exit code.
pub async fn run(_settings: VmSettings) -> u8 {
    crate::sidecar::exec::NOT_PREPARED
}
