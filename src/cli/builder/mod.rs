//! `albatros builder …`: parameterized jobs of Nomad, checked before they hurt, registered and shown.

mod check;
mod file;
mod list;
mod print;
mod register;
mod show;

use std::ffi::OsString;

use clap::{Args, Subcommand};

use super::exit::Exit;
use super::settings::{self, Environment, SettingsError};
use crate::api::http::EndpointError;
use crate::api::nomad::{Nomad, NomadError};
use crate::domain::near::nearest;

/// Where builders are.
#[derive(Debug, Args)]
pub(super) struct Where {
    /// Nomad's namespace for builds (also ALBATROS_NAMESPACE, NOMAD_NAMESPACE; else ci)
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The verbs. Nomad is where NOMAD_ADDR says.
#[derive(Debug, Subcommand)]
pub(crate) enum BuilderVerb {
    Check(check::CheckArgs),
    Register(register::RegisterArgs),
    List(list::ListArgs),
    Show(show::ShowArgs),
}

/// Why a verb did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuilderError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    #[error("{hint}")]
    Nomad {
        hint: String,
        #[source]
        source: NomadError,
    },
    #[error("nothing can be written to standard output")]
    Output(#[from] std::io::Error),
}

impl BuilderError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Settings(_) | Self::Endpoint(_) => Exit::Usage,
            Self::Nomad { .. } | Self::Output(_) => Exit::Infra,
        }
    }
}

/// Runs a verb. `env` reads the environment.
pub(crate) async fn run(verb: BuilderVerb, env: Environment<'_>) -> Result<Exit, BuilderError> {
    match verb {
        BuilderVerb::Check(args) => args.run(env).await,
        BuilderVerb::Register(args) => args.run(env).await,
        BuilderVerb::List(args) => args.run(env).await,
        BuilderVerb::Show(args) => args.run(env).await,
    }
}

/// `-var` and `-var-file`, as `nomad job run` spells them, are `--var` and `--var-file`.
pub(super) fn spelled(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.collect();
    if args.get(1).is_some_and(|verb| verb == "builder") {
        for arg in args.iter_mut().skip(2) {
            let text = arg.to_str().unwrap_or_default();
            if ["-var", "-var-file"].contains(&text) || text.starts_with("-var=") || text.starts_with("-var-file=") {
                *arg = format!("-{text}").into();
            }
        }
    }
    args
}

fn connect(at: &Where, env: Environment<'_>) -> Result<Nomad, BuilderError> {
    let (nomad, namespace) = settings::builders(at.namespace.as_deref(), env)?;
    Ok(Nomad::new(nomad, namespace)?)
}

/// What to do about a Nomad that cannot be asked.
fn unanswered(nomad: &Nomad, right: &'static str) -> impl FnOnce(NomadError) -> BuilderError {
    let namespace = nomad.namespace().to_owned();
    move |source| {
        let hint = match &source {
            denied if denied.is_denied() => {
                format!("NOMAD_TOKEN needs the right {right} in the namespace \"{namespace}\"")
            }
            NomadError::Status { .. } => "Nomad has refused".to_owned(),
            _ => "Nomad does not answer at NOMAD_ADDR".to_owned(),
        };
        BuilderError::Nomad { hint, source }
    }
}

/// There is no such builder; what it was meant to be, as far as can be told.
async fn unknown(nomad: &Nomad, name: &str) -> BuilderError {
    // The list is for the hint alone.
    let known = nomad.parents().await.unwrap_or_default();
    let meant = nearest(name, known.iter().map(|job| job.id.as_str()));
    let meant = meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
    BuilderError::Usage(format!("there is no job \"{name}\" in the namespace \"{}\"{meant}", nomad.namespace()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_may_be_spelled_as_nomad_spells_them() {
        let of = |args: &[&str]| spelled(args.iter().map(OsString::from));
        let typed = of(&["albatros", "builder", "check", "f.hcl", "-var", "a=-var", "-var-file=v", "--var", "b=c"]);
        assert_eq!(typed, ["albatros", "builder", "check", "f.hcl", "--var", "a=-var", "--var-file=v", "--var", "b=c"]);
        assert_eq!(of(&["albatros", "list", "-var"]), ["albatros", "list", "-var"]);
    }
}
