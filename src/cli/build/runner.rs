//! `albatros runner`

use std::ffi::OsString;

use clap::Args;

use super::super::exit::Exit;
use super::BuildError;
use crate::api::controller::Controller;
use crate::sidecar::runner::{self, RunnerSettings};

/// In a build that is a runner of a forge's Actions: serve one job
///
/// Runs act_runner, or GitHub's run.sh, or what ALBATROS_RUNNER_PROGRAM names, registered for one job. Also read:
/// ALBATROS_RUNNER_IDLE (10m: without a job by then it ends), ALBATROS_RUNNER_IMAGE (run jobs in containers of it),
/// ALBATROS_RUNNER_DOCKER (that engine), ALBATROS_RUNNER_CONFIG (act_runner's configuration).
///
/// Exits with 0 when the runner has ended, whatever came of its job; 1 if its program failed; 2 outside of a runner's
/// build; 3 if it could not be registered or started.
#[derive(Debug, Args)]
pub(crate) struct RunnerArgs {}

pub(super) async fn run(
    controller: &Controller,
    vars: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Exit, BuildError> {
    let settings = RunnerSettings::read(vars).map_err(runner::RunnerError::Settings)?;
    Ok(Exit::Code(runner::run(&settings, controller).await?))
}
