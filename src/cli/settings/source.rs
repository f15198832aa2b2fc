//! Variables, one at a time.

use std::path::PathBuf;
use std::str::FromStr;

use crate::domain::secret::Secret;

/// Looks a variable up; [`process`] asks the real environment, tests ask a table.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The environment of this process.
#[must_use]
pub fn process(name: &str) -> Option<String> {
    std::env::var_os(name).and_then(|value| value.into_string().ok())
}

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {why}")]
pub struct SettingsError {
    /// The variable, or the flag.
    pub name: String,
    /// What it should be; never its value where that may be secret.
    pub why: String,
}

impl SettingsError {
    pub(super) fn new(name: impl Into<String>, why: impl Into<String>) -> Self {
        Self { name: name.into(), why: why.into() }
    }
}

/// An environment in which empty means unset.
#[derive(Clone, Copy)]
pub(super) struct Source<'a>(Environment<'a>);

impl<'a> Source<'a> {
    pub(super) fn new(environment: Environment<'a>) -> Self {
        Self(environment)
    }

    pub(super) fn text(self, name: &str) -> Option<String> {
        (self.0)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn path(self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    pub(super) fn secret(self, name: &str) -> Option<Secret> {
        self.text(name).map(Secret::new)
    }

    /// The words that HashiCorp's clients take for yes and no.
    pub(super) fn switch(self, name: &str) -> Result<Option<bool>, SettingsError> {
        self.text(name)
            .map(|text| match text.as_str() {
                "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
                "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
                _ => Err(SettingsError::new(name, "expected true or false")),
            })
            .transpose()
    }
}

pub(super) fn parse<T>(name: &str, text: &str) -> Result<T, SettingsError>
where
    T: FromStr,
    T::Err: std::fmt::Display,
{
    text.parse().map_err(|error: T::Err| SettingsError::new(name, error.to_string()))
}
