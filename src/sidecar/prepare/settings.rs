//! What the task `prepare` is told by its environment; all about the build is asked of the controller.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::sidecar::SettingsError;
use crate::sidecar::checkout::Source;
use crate::sidecar::exec::DEFAULT_PATH;
use crate::sidecar::vars::Vars;

/// What `sidecar prepare` was told.
#[derive(Debug, Clone)]
pub struct PrepareSettings {
    pub(super) alloc_dir: PathBuf,
    pub(super) source: Source,
    pub(super) git_path: OsString,
    pub(super) git_vars: Vec<(OsString, OsString)>,
    pub(super) patience: Duration,
}

impl PrepareSettings {
    /// Reads the variables that Nomad (or the local engine) gives to a task.
    ///
    /// # Errors
    /// When one that is needed is missing or senseless.
    pub fn read(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, SettingsError> {
        let vars: Vars = vars.into_iter().collect();
        Ok(Self {
            alloc_dir: PathBuf::from(vars.need("NOMAD_ALLOC_DIR")?),
            source: vars.source(),
            git_path: vars.get("PATH").unwrap_or_else(|| OsString::from(DEFAULT_PATH)),
            git_vars: vars.of_git(),
            patience: vars.patience()?,
        })
    }
}
