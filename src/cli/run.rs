//! `albatros run`

use std::path::PathBuf;

use clap::Args;

use super::complain;
use super::exit::Exit;
use super::machine::{cache, machine, temp};
use super::params::inject;
use super::settings::{self, Environment, Overrides, SettingsError};
use crate::dev::{RunError, RunSettings, Terminal, run};
use crate::domain::duration::Span;
use crate::domain::id::Flavor;

/// Flags of `albatros run`
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The working copy: its tracked and unignored files are built as they stand
    #[arg(default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// What FLAVOR says
    #[arg(long, default_value = "default")]
    flavor: Flavor,
    /// The longest it may run
    #[arg(long, default_value = "1h", value_name = "DURATION")]
    timeout: Span,
    /// A parameter of the build; can be given several times, and what is secret had better stand in a file
    #[arg(long = "param", value_name = "KEY=VALUE")]
    params: Vec<String>,
    /// Parameters as KEY=VALUE lines; the file becomes the script's SECRET_PATH, byte for byte
    #[arg(long, visible_alias = "param-file", value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Where artifacts are put, each in a directory of its name [default below $XDG_CACHE_HOME/albatros or ~/.cache/albatros]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Keep the workspace also when the build does not fail
    #[arg(long)]
    keep: bool,
}

impl RunArgs {
    /// Builds a working copy here and now.
    pub(crate) async fn run(self, environment: Environment<'_>) -> Exit {
        let told = match self.told(environment) {
            Ok(told) => told,
            Err(error) => return complain(&error, Exit::Usage),
        };
        match run(told, Terminal::default()).await {
            Ok(code) => Exit::Code(code),
            Err(error @ RunError::Copy(_)) => complain(&error, Exit::Usage),
            Err(error) => complain(&error, Exit::Infra),
        }
    }

    fn told(self, environment: Environment<'_>) -> Result<RunSettings, SettingsError> {
        Ok(RunSettings {
            dir: self.dir,
            flavor: self.flavor,
            timeout: self.timeout.get(),
            inject: inject(self.secrets.as_deref(), &self.params)?,
            keep: self.keep,
            temp: temp(environment),
            cache: cache(environment),
            artifacts: self.artifacts,
            dispatcher: settings::dev(&Overrides::default(), environment)?.1,
            machine: machine(environment)?,
        })
    }
}
