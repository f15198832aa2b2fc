//! `albatros sidecar` and `albatros sidecar prepare`: the trusted tasks beside a build's script.

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::exit::Exit;
use super::{complain, in_build};
use crate::domain::runner::Ended;
use crate::sidecar::prepare::{self, PrepareSettings};
use crate::sidecar::watch::{self, WatchSettings};

/// Everything is read from the environment that Nomad gives to a task.
#[derive(Debug, Args)]
pub(crate) struct SidecarArgs {
    #[command(subcommand)]
    verb: Option<SidecarVerb>,
}

#[derive(Debug, Subcommand)]
enum SidecarVerb {
    /// Before the script: make its workspace
    Prepare,
}

impl SidecarArgs {
    /// Runs the task; the exit code is 0 or one of [`Ended`].
    pub(crate) fn run(self, vars: impl IntoIterator<Item = (OsString, OsString)>) -> Exit {
        let wrong =
            |error: &(dyn std::error::Error + 'static)| complain(error, Exit::Code(Ended::WrongSettings.code()));
        match self.verb {
            Some(SidecarVerb::Prepare) => match PrepareSettings::read(vars) {
                Ok(settings) => in_build(async { Exit::Code(prepare::run(&settings).await) }),
                Err(error) => wrong(&error),
            },
            None => match WatchSettings::read(vars) {
                Ok(settings) => in_build(async { Exit::Code(watch::run(&settings).await) }),
                Err(error) => wrong(&error),
            },
        }
    }
}
