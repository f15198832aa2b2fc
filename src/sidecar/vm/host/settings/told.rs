//! Flags and variables, as the texts that they are.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::{VmFlags, VmSettingsError};
use crate::domain::duration::Span;
use crate::sidecar::vars::Vars;

/// Addresses, networks and folders in one list at most.
const LIST_MOST: usize = 32;
/// What of the task's environment goes into the machine. Never a token or an address of Nomad's.
const TOLD: &[&str] = &["NOMAD_JOB_ID", "ALBATROS_PATH"];
/// All of these: what is built, and what the builder says of its runners.
const TOLD_ALL: [&str; 2] = ["NOMAD_META_", "ALBATROS_RUNNER_"];

/// What was typed, and what the environment says.
pub(super) struct Told<'a> {
    pub(super) flags: &'a VmFlags,
    pub(super) vars: Vars,
}

impl Told<'_> {
    pub(super) fn one(&self, name: &'static str) -> Result<Option<String>, VmSettingsError> {
        if let Some(value) = self.flags.0.get(name).and_then(|values| values.last()) {
            return Ok(Some(value.clone()).filter(|value| !value.is_empty()));
        }
        Ok(self.vars.text(&format!("ALBATROS_VM_{name}"))?)
    }

    pub(super) fn list(&self, name: &'static str) -> Result<Vec<String>, VmSettingsError> {
        let all = match self.flags.0.get(name) {
            Some(values) => values.clone(),
            None => self.one(name)?.unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
        };
        if all.len() > LIST_MOST {
            return Err(VmSettingsError::Wrong(name, format!("more than {LIST_MOST}")));
        }
        Ok(all)
    }

    pub(super) fn word<T: Copy>(&self, name: &'static str, words: &[(&str, T)]) -> Result<Option<T>, VmSettingsError> {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, means)| *means);
        let expected = || words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        found.map(Some).ok_or_else(|| VmSettingsError::Wrong(name, format!("expected one of {}", expected())))
    }

    pub(super) fn span(&self, name: &'static str, default: Span) -> Result<Duration, VmSettingsError> {
        let Some(text) = self.one(name)? else { return Ok(default.get()) };
        text.parse().map(Span::get).map_err(|error| VmSettingsError::Wrong(name, format!("{error}")))
    }

    pub(super) fn absolute(&self, name: &'static str) -> Result<Option<PathBuf>, VmSettingsError> {
        let path = self.one(name)?.map(PathBuf::from);
        match path {
            Some(path) if !path.is_absolute() => {
                Err(VmSettingsError::Wrong(name, "expected a path that begins with /".to_owned()))
            }
            path => Ok(path),
        }
    }

    pub(super) fn of_the_build(&self) -> BTreeMap<String, String> {
        let wanted = |name: &str| TOLD.contains(&name) || TOLD_ALL.iter().any(|prefix| name.starts_with(prefix));
        let text =
            |(name, value): (&OsString, &OsString)| Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()));
        self.vars.0.iter().filter_map(text).filter(|(name, _)| wanted(name)).collect()
    }
}
