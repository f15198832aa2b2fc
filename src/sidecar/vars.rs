//! A task's environment, as Nomad or the local engine gives it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use super::checkout::{PATIENCE, Source};
use crate::domain::duration::{Span, SpanError};
use crate::domain::id::IdError;

/// Why the environment is not one of a build's task.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A variable is not there.
    #[error("{0} is not set: `albatros exec` and `albatros sidecar` run in the tasks of a build")]
    Missing(String),
    /// A variable is not text.
    #[error("{0} is not UTF-8")]
    NotText(String),
    /// COMMIT is not a commit.
    #[error("COMMIT cannot be built")]
    Commit(#[from] IdError),
    /// Not a duration.
    #[error("{0} is no duration")]
    Duration(&'static str, #[source] SpanError),
    /// Not one of a few words.
    #[error("{0}: {1}")]
    Word(&'static str, &'static str),
}

/// What only git is given: how to get through to the outside.
pub const GIT_VARS: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

/// The variables by name.
#[derive(Debug)]
pub(super) struct Vars(pub(super) BTreeMap<OsString, OsString>);

impl FromIterator<(OsString, OsString)> for Vars {
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(vars: I) -> Self {
        Self(vars.into_iter().collect())
    }
}

impl Vars {
    /// Set but empty means unset.
    pub(super) fn get(&self, name: &str) -> Option<OsString> {
        self.0.get(OsStr::new(name)).filter(|value| !value.is_empty()).cloned()
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<String>, SettingsError> {
        let text = self.get(name).map(OsString::into_string).transpose();
        text.map_err(|_bytes| SettingsError::NotText(name.to_owned()))
    }

    pub(super) fn need(&self, name: &str) -> Result<String, SettingsError> {
        self.text(name)?.ok_or_else(|| SettingsError::Missing(name.to_owned()))
    }

    pub(super) fn only(&self, wanted: impl Fn(&OsStr) -> bool) -> Vec<(OsString, OsString)> {
        self.0.iter().filter(|(name, _)| wanted(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
    }

    /// What gets git through to the outside.
    pub(super) fn of_git(&self) -> Vec<(OsString, OsString)> {
        self.only(|name| GIT_VARS.iter().any(|known| name == *known))
    }

    /// Where the workspace comes from: `ALBATROS_LOCAL_SOURCE`, `ALBATROS_LOCAL_WORKSPACE`.
    pub(super) fn source(&self) -> Source {
        let local = self.path("ALBATROS_LOCAL_SOURCE");
        if self.get("ALBATROS_LOCAL_WORKSPACE").is_some() {
            return Source::Prepared(local);
        }
        local.map_or(Source::Remote, Source::Local)
    }

    /// For how long a forge that cannot be reached is asked again: `ALBATROS_FETCH_LIMIT`.
    pub(super) fn patience(&self) -> Result<Duration, SettingsError> {
        const NAME: &str = "ALBATROS_FETCH_LIMIT";
        let Some(text) = self.text(NAME)? else { return Ok(PATIENCE) };
        text.parse::<Span>().map(Span::get).map_err(|error| SettingsError::Duration(NAME, error))
    }
}
