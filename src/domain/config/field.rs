//! A value of a configuration together with where it stands, so that every error can name its field.

use serde_json::{Map, Value};

use super::ConfigError;
use crate::domain::secret::Secret;

/// A value and its path, such as `trusted.senders[1].id`.
pub(super) struct Field<'a> {
    path: String,
    value: &'a Value,
}

/// An object whose fields are all known.
pub(super) struct Object<'a> {
    path: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Field<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { path: String::new(), value }
    }

    /// An error about this field. `why` must not repeat the value.
    pub(super) fn error(&self, why: impl std::fmt::Display) -> ConfigError {
        if self.path.is_empty() { ConfigError(why.to_string()) } else { ConfigError(format!("{}: {why}", self.path)) }
    }

    pub(super) fn is_string(&self) -> bool {
        self.value.is_string()
    }

    pub(super) fn object(&self, known: &[&str]) -> Result<Object<'a>, ConfigError> {
        let object = self.map()?;
        for name in object.fields.keys() {
            if !known.contains(&name.as_str()) {
                return Err(ConfigError(format!("{}: unknown field", object.path_of(name))));
            }
        }
        Ok(object)
    }

    /// An object with free keys.
    pub(super) fn map(&self) -> Result<Object<'a>, ConfigError> {
        let fields = self.value.as_object().ok_or_else(|| self.error("expected an object"))?;
        Ok(Object { path: self.path.clone(), fields })
    }

    pub(super) fn text(&self) -> Result<&'a str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.error("expected a string"))
    }

    pub(super) fn filled_text(&self) -> Result<&'a str, ConfigError> {
        let text = self.text()?;
        if text.is_empty() { Err(self.error("must not be empty")) } else { Ok(text) }
    }

    pub(super) fn parsed<T>(&self) -> Result<T, ConfigError>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        self.text()?.parse().map_err(|why: T::Err| self.error(why))
    }

    pub(super) fn number(&self) -> Result<u64, ConfigError> {
        self.value.as_u64().ok_or_else(|| self.error("expected a whole number"))
    }

    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        self.value.as_bool().ok_or_else(|| self.error("expected true or false"))
    }

    pub(super) fn list(&self) -> Result<Vec<Field<'a>>, ConfigError> {
        let entries = self.value.as_array().ok_or_else(|| self.error("expected a list"))?;
        let at = |(n, value)| Field { path: format!("{}[{n}]", self.path), value };
        Ok(entries.iter().enumerate().map(at).collect())
    }

    pub(super) fn secret(&self) -> Result<Secret, ConfigError> {
        self.filled_text().map(Secret::new)
    }

    /// One secret or a list of them; none of them empty, and a list holds at least one unless it `may_be_empty`.
    pub(super) fn secrets(&self, may_be_empty: bool) -> Result<Vec<Secret>, ConfigError> {
        if self.is_string() {
            return Ok(vec![self.secret()?]);
        }
        let entries = self.list().map_err(|_| self.error("expected a string or a list of strings"))?;
        if entries.is_empty() && !may_be_empty {
            return Err(self.error("must not be empty"));
        }
        entries.iter().map(Field::secret).collect()
    }
}

impl<'a> Object<'a> {
    fn path_of(&self, name: &str) -> String {
        let name = crate::domain::json::shown(name);
        if self.path.is_empty() { name } else { format!("{}.{name}", self.path) }
    }

    pub(super) fn get(&self, name: &str) -> Option<Field<'a>> {
        self.fields.get(name).map(|value| Field { path: self.path_of(name), value })
    }

    pub(super) fn need(&self, name: &str) -> Result<Field<'a>, ConfigError> {
        self.get(name).ok_or_else(|| ConfigError(format!("{}: is missing", self.path_of(name))))
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> + '_ {
        self.fields.iter().map(|(name, value)| (name.as_str(), Field { path: self.path_of(name), value }))
    }
}
