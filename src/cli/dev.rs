//! `albatros dev`

use std::path::PathBuf;

use clap::Args;

use super::exit::Exit;
use super::machine::{machine, temp};
use super::params::inject;
use super::settings::{self, Environment, Overrides, SettingsError};
use super::{complain, say};
use crate::api::store::StoreSettings;
use crate::dev::{DevError, DevSettings, Terminal, dev};

/// Flags of `albatros dev`
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// Working copies: tops of git repositories, or directories that are snapshotted into one
    #[arg(required = true, value_name = "DIR")]
    dirs: Vec<PathBuf>,
    /// Leave with the code of the first build (of several, the highest)
    #[arg(long)]
    exit: bool,
    /// Where to listen [ALBATROS_LISTEN, default 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Where builds, logs and claims are kept [default $XDG_STATE_HOME/albatros or ~/.local/state/albatros]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Parameters as KEY=VALUE lines; the file becomes the script's SECRET_PATH, byte for byte
    #[arg(long, visible_alias = "param-file", value_name = "FILE")]
    secrets: Option<PathBuf>,
}

impl DevArgs {
    /// Serves working copies on this machine.
    pub(crate) async fn run(self, environment: Environment<'_>) -> Exit {
        let told = match self.told(environment) {
            Ok(told) => told,
            Err(error) => return complain(&error, Exit::Usage),
        };
        match dev(told, Terminal::default()).await {
            Ok(code) => Exit::Code(code),
            Err(error @ DevError::Copy(_)) => complain(&error, Exit::Usage),
            Err(error) => complain(&error, Exit::Infra),
        }
    }

    fn told(self, environment: Environment<'_>) -> Result<DevSettings, SettingsError> {
        let flags = Overrides { listen: self.listen, ..Overrides::default() };
        let (listen, dispatcher) = settings::dev(&flags, environment)?;
        let data = self.data.unwrap_or_else(|| data(environment));
        let store = settings::store(&flags, environment)?;
        Ok(DevSettings {
            dirs: self.dirs,
            exit: self.exit,
            store: store.unwrap_or_else(|| StoreSettings::files(data.join("store"))),
            data,
            listen,
            dispatcher,
            machine: machine(environment)?,
            secrets: inject(self.secrets.as_deref(), &[])?,
        })
    }
}

/// Where programs keep state that should outlive them.
fn data(environment: Environment<'_>) -> PathBuf {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").filter(|dir| dir.is_absolute());
    let state = state.or_else(|| set("HOME").map(|home| home.join(".local/state")));
    state.map(|dir| dir.join("albatros")).unwrap_or_else(|| {
        let dir = temp(environment).join("albatros");
        say(&format!("albatros: neither XDG_STATE_HOME nor HOME is set; state is kept in {}", dir.display()));
        dir
    })
}
