//! The parameters of builds on this machine: a file as it stands, and what was typed one by one.

use std::path::Path;

use super::settings::SettingsError;
use crate::domain::params::{self, Params};
use crate::domain::secret::Secret;

/// What becomes of `SECRET_PATH`: the file byte for byte, and behind it a line for each `KEY=VALUE`. No message repeats a
/// value.
pub(super) fn inject(file: Option<&Path>, typed: &[String]) -> Result<Option<Secret>, SettingsError> {
    let mut text = match file {
        Some(file) => std::fs::read_to_string(file).map_err(|error| wrong("--param-file", error))?,
        None => String::new(),
    };
    let read = Params::parse(&text);
    if !typed.is_empty() {
        read.as_ref().map_err(|error| wrong("--param-file", error))?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
    }
    refuse_forbidden("--param-file", read.iter().flat_map(Params::names))?;
    for one in typed {
        let (name, value) = one.split_once('=').ok_or_else(|| wrong("--param", "expected KEY=VALUE"))?;
        let line = params::line(name, value);
        Params::parse(&line).map_err(|error| wrong("--param", format!("expected KEY=VALUE: {}", error.why)))?;
        refuse_forbidden("--param", [name])?;
        text.push_str(&line);
    }
    Ok((!text.is_empty()).then(|| Secret::new(text)))
}

fn refuse_forbidden<'a>(option: &str, names: impl IntoIterator<Item = &'a str>) -> Result<(), SettingsError> {
    match names.into_iter().find(|name| params::forbidden(name)) {
        Some(name) => Err(wrong(option, format!("{name} would change a loader, a shell or Nomad"))),
        None => Ok(()),
    }
}

fn wrong(option: &str, why: impl ToString) -> SettingsError {
    SettingsError { name: option.to_owned(), why: why.to_string() }
}
