//! Verbs in a build: they ask the controller at `ALBATROS_API` with `ALBATROS_TOKEN`.

mod artifact;
mod cache;
mod job;
mod param;
mod place;
mod printed;
mod progress;
mod report;
mod runner;

use clap::Subcommand;

use super::exit::Exit;
use super::settings::{self, Environment, SettingsError};
use crate::api::controller::{Controller, ControllerError};
use crate::sidecar::keep::KeepError;
use crate::sidecar::pack::PackError;
use crate::sidecar::runner::RunnerError;

use artifact::ArtifactArgs;
use cache::CacheArgs;
use job::JobArgs;
use param::ParamArgs;
use report::ReportArgs;
use runner::RunnerArgs;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum BuildVerb {
    Job(Box<JobArgs>),
    Artifact(ArtifactArgs),
    Cache(CacheArgs),
    Param(ParamArgs),
    Report(ReportArgs),
    Runner(RunnerArgs),
}

/// Why a verb did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Controller(#[from] ControllerError),
    #[error(transparent)]
    Files(#[from] PackError),
    #[error(transparent)]
    Keep(#[from] KeepError),
    #[error(transparent)]
    Runner(#[from] RunnerError),
    #[error("nothing can be written to standard output")]
    Output(#[from] std::io::Error),
}

impl BuildError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Usage(_) | Self::Keep(KeepError::There { .. }) => Exit::Usage,
            Self::Controller(error) | Self::Keep(KeepError::Controller(error)) => of_controller(error),
            Self::Files(error) | Self::Keep(KeepError::Files(error)) if error.is_about_the_files() => Exit::Usage,
            Self::Runner(error) => of_runner(error),
            Self::Files(_) | Self::Keep(_) | Self::Output(_) => Exit::Infra,
        }
    }
}

fn of_controller(error: &ControllerError) -> Exit {
    match error {
        // A build that may have no parameters is one without any.
        ControllerError::Refused(problem, _) if problem.status == 403 => Exit::Failed,
        ControllerError::Refused(problem, _) if matches!(problem.status, 400 | 409 | 413 | 415 | 422) => Exit::Usage,
        ControllerError::Refused(..)
        | ControllerError::Client(_)
        | ControllerError::Socket(_)
        | ControllerError::NoAnswer(_)
        | ControllerError::Strange(_) => Exit::Infra,
    }
}

fn of_runner(error: &RunnerError) -> Exit {
    match error {
        RunnerError::Failed(..) => Exit::Failed,
        RunnerError::Settings(_) => Exit::Usage,
        // The build is no runner.
        RunnerError::Registration(error) if error.status().is_some_and(|status| status == 404) => Exit::Usage,
        RunnerError::Registration(_)
        | RunnerError::Strange
        | RunnerError::NoProgram(_)
        | RunnerError::Files(_)
        | RunnerError::Start(..)
        | RunnerError::Wait(_)
        | RunnerError::Signals(_) => Exit::Infra,
    }
}

/// Runs a verb.
///
/// # Errors
/// See [`BuildError`].
pub(crate) async fn run(verb: &BuildVerb, environment: Environment<'_>) -> Result<Exit, BuildError> {
    if let BuildVerb::Job(args) = verb
        && let Some(done) = args.run_outside()
    {
        return done;
    }
    let (address, token) = settings::in_build(environment)?;
    let controller = Controller::new(&address, token)?;
    match verb {
        BuildVerb::Job(args) => job::run(args, &controller, settings::shared_loopback(environment)).await,
        BuildVerb::Artifact(args) => artifact::run(args, &controller, environment).await,
        BuildVerb::Cache(args) => cache::run(args, &controller, environment).await,
        BuildVerb::Param(args) => param::run(args, &controller).await,
        BuildVerb::Report(args) => report::run(args, &controller).await,
        BuildVerb::Runner(RunnerArgs {}) => runner::run(&controller, std::env::vars_os()).await,
    }
}
