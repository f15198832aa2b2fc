//! `albatros run`

use std::path::PathBuf;

use clap::Args;

use super::complain;
use super::exit::Exit;
use super::machine::{machine, secrets, temp};
use super::settings::{Environment, SettingsError};
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
    /// A file that becomes the script's SECRET_PATH, byte for byte
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
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
            secrets: secrets(self.secrets.as_deref())?,
            temp: temp(environment),
            machine: machine(environment)?,
        })
    }
}
