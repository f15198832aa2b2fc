//! `albatros param`

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use serde_json::Value;

use super::super::exit::Exit;
use super::super::say;
use super::BuildError;
use crate::api::controller::Controller;

/// In the script of a build: print a parameter, or the names of all
///
/// The value is printed byte for byte, with a line end behind it only on a terminal.
///
/// Exits with 0; 1 if there is no such parameter, or the build may have none; 2 for a wrong use, and outside of a
/// build; 3 if the controller does not answer.
#[derive(Debug, Args)]
pub(crate) struct ParamArgs {
    /// Which; without it the names of all are printed, one a line
    name: Option<String>,
    /// Print JSON: the value as a string, or all names and values
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: &ParamArgs, controller: &Controller) -> Result<Exit, BuildError> {
    let Some(name) = &args.name else {
        return all(args.json, controller).await;
    };
    if matches!(name.as_str(), "" | "." | "..") {
        return Err(BuildError::Usage("a parameter's name is expected".to_owned()));
    }
    let Some(value) = controller.param(name).await? else {
        say(&format!("albatros: there is no parameter {name}"));
        return Ok(Exit::Failed);
    };
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{}", Value::from(value.expose()))?;
    } else {
        out.write_all(value.expose().as_bytes())?;
        if std::io::stdout().is_terminal() {
            writeln!(out)?;
        }
    }
    out.flush()?;
    Ok(Exit::Success)
}

async fn all(json: bool, controller: &Controller) -> Result<Exit, BuildError> {
    let params = controller.params().await?;
    let mut out = std::io::stdout().lock();
    if json {
        let shown: BTreeMap<&String, &str> = params.iter().map(|(name, value)| (name, value.expose())).collect();
        writeln!(out, "{}", serde_json::to_string(&shown).map_err(std::io::Error::from)?)?;
    } else {
        for name in params.keys() {
            writeln!(out, "{name}")?;
        }
    }
    Ok(Exit::Success)
}
