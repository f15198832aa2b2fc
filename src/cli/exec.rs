//! `albatros exec`, and the hidden `albatros supervise` above it on one machine.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::exit::Exit;
use super::{complain, in_build};
use crate::engine::{SuperviseSettings, supervise as supervise_build};
use crate::sidecar::exec::{self, ExecSettings};

/// Everything is read from the environment that Nomad gives to a task.
#[derive(Debug, Args)]
pub(crate) struct ExecArgs {}

impl ExecArgs {
    /// Runs a build's `.albatros`; the exit code is the script's, 125 where nothing could be prepared for it.
    pub(crate) fn run(self, vars: impl IntoIterator<Item = (OsString, OsString)>) -> Exit {
        let not_prepared = |error: &(dyn std::error::Error + 'static)| complain(error, Exit::Code(exec::NOT_PREPARED));
        let settings = match ExecSettings::read(vars) {
            Ok(settings) => settings,
            Err(error) => return not_prepared(&error),
        };
        // Only a process of one thread can do so: before the runtime.
        if let Err(error) = exec::isolate(&settings) {
            return not_prepared(&error);
        }
        in_build(async { Exit::Code(exec::run(&settings).await) })
    }
}

/// The parent of a build on this machine.
#[derive(Debug, Args)]
pub(crate) struct SuperviseArgs {
    /// The build's directory.
    dir: PathBuf,
    /// The longest it may run, in milliseconds.
    #[arg(long)]
    limit_ms: u64,
}

impl SuperviseArgs {
    /// Looks after a build until nothing is left of it.
    pub(crate) async fn run(self, vars: impl IntoIterator<Item = (OsString, OsString)>) -> Exit {
        let limit = Duration::from_millis(self.limit_ms);
        let settings = SuperviseSettings { dir: self.dir, limit, vars: vars.into_iter().collect() };
        match supervise_build(&settings).await {
            Ok(()) => Exit::Success,
            Err(error) => complain(&error, Exit::Infra),
        }
    }
}
