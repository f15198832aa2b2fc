//! Verbs in a build: they ask the controller at `ALBATROS_API` with `ALBATROS_TOKEN`.

mod job;
mod param;
mod report;

use clap::Subcommand;

use super::exit::Exit;
use super::settings::{self, Environment, SettingsError};
use crate::api::controller::{Controller, ControllerError};

use job::JobArgs;
use param::ParamArgs;
use report::ReportArgs;

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum BuildVerb {
    Job(JobArgs),
    Param(ParamArgs),
    Report(ReportArgs),
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
    #[error("nothing can be written to standard output")]
    Output(#[from] std::io::Error),
}

impl BuildError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Settings(_) | Self::Usage(_) => Exit::Usage,
            // A build that may have no parameters is one without any.
            Self::Controller(error) if error.status().is_some_and(|status| status.as_u16() == 403) => Exit::Failed,
            Self::Controller(ControllerError::Refused(problem)) if matches!(problem.status, 400 | 413 | 415 | 422) => {
                Exit::Usage
            }
            Self::Controller(_) | Self::Output(_) => Exit::Infra,
        }
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
        BuildVerb::Job(args) => job::run(args, &controller).await,
        BuildVerb::Param(args) => param::run(args, &controller).await,
        BuildVerb::Report(args) => report::run(args, &controller).await,
    }
}
