//! What `albatros vm` is told: `ALBATROS_VM_*`, each also a flag, and what Nomad says of the task.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::sidecar::exec::ExecSettings;
use crate::sidecar::{SettingsError, vars::Vars};

/// What was typed as flags: each beats its variable, whose name begins with `ALBATROS_VM_`.
#[derive(Debug, Default)]
pub struct VmFlags(BTreeMap<&'static str, Vec<String>>);

impl FromIterator<(&'static str, Vec<String>)> for VmFlags {
    fn from_iter<I: IntoIterator<Item = (&'static str, Vec<String>)>>(flags: I) -> Self {
        Self(flags.into_iter().filter(|(_, values)| !values.is_empty()).collect())
    }
}

/// Why a run cannot be begun as it was told.
#[derive(Debug, thiserror::Error)]
pub enum VmSettingsError {
    /// The task's own.
    #[error(transparent)]
    Task(#[from] SettingsError),
}

/// One run.
#[derive(Debug)]
pub struct VmSettings {
    /// What `exec` is told of the build.
    pub(super) exec: ExecSettings,
}

impl VmSettings {
    /// Reads flags, and the variables that Nomad (or the local engine) gives to a task.
    ///
    /// # Errors
    /// When one that is needed is missing or senseless.
    pub fn read(
        _flags: &VmFlags,
        vars: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, VmSettingsError> {
        let vars: Vars = vars.into_iter().collect();
        let exec = ExecSettings::read(vars.0)?;
        Ok(Self { exec })
    }
}
