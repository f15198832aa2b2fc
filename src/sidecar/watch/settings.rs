//! What the task `sidecar` is told by its environment.

use std::ffi::OsString;
use std::path::PathBuf;

use super::size::{Size, SizeError};
use crate::sidecar::SettingsError;
use crate::sidecar::vars::Vars;

/// What `sidecar` was told.
#[derive(Debug, Clone)]
pub struct WatchSettings {
    pub(super) alloc_dir: PathBuf,
    pub(super) limit: Option<Size>,
    /// `ALBATROS_MACHINE`: the script runs in a machine, and writes none of these files itself.
    pub(super) machine: bool,
}

/// Why the environment is not one of a sidecar.
#[derive(Debug, thiserror::Error)]
pub enum WatchSettingsError {
    /// As in the other tasks.
    #[error(transparent)]
    Task(#[from] SettingsError),
    /// Not a size.
    #[error("ALBATROS_DISK_LIMIT is no size")]
    Limit(#[from] SizeError),
}

impl WatchSettings {
    /// Reads the variables that Nomad (or the local engine) gives to a task.
    ///
    /// # Errors
    /// When one that is needed is missing or senseless.
    pub fn read(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, WatchSettingsError> {
        let vars: Vars = vars.into_iter().collect();
        Ok(Self {
            alloc_dir: PathBuf::from(vars.need("NOMAD_ALLOC_DIR")?),
            limit: vars.text("ALBATROS_DISK_LIMIT")?.map(|text| text.parse()).transpose()?,
            machine: vars.get("ALBATROS_MACHINE").is_some(),
        })
    }
}
