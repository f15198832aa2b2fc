//! `albatros repo …`: repositories' entries in Consul and their webhooks, for operators. Nothing printed holds a secret,
//! but for those that were made up here: they are shown once.

mod add;
mod ask;
mod check;
mod operator;
mod remove;
mod show;
mod webhook;

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::exit::Exit;
use super::settings::{Environment, SettingsError};
use crate::api::forge::ForgeError;
use crate::api::http::EndpointError;
use crate::domain::config::ConfigError;
use crate::domain::duration::Span;
use crate::registry::RegistryError;

/// The verbs for repositories
#[derive(Debug, Args)]
pub(super) struct RepoArgs {
    #[command(subcommand)]
    verb: RepoVerb,
}

#[derive(Debug, Subcommand)]
enum RepoVerb {
    Add(Box<add::AddArgs>),
    Show(show::ShowArgs),
    List(show::ListArgs),
    Check(check::CheckArgs),
    Remove(remove::RemoveArgs),
}

/// What all of them take.
#[derive(Debug, Args)]
struct Common {
    /// Where Consul's keys begin [ALBATROS_PREFIX, default albatros]
    #[arg(long)]
    prefix: Option<String>,
    /// Where `serve` is reached by the forge and from here [ALBATROS_URL]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// An authority to trust for the server, beside the public ones [ALBATROS_CACERT]
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// How long a test delivery may take until it counts as lost
    #[arg(long, value_name = "DURATION", default_value = "15s")]
    wait: Span,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Why a verb did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum RepoError {
    /// What was asked for cannot be done as it was asked.
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("a service cannot be used as it is configured")]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{doing}")]
    Forge {
        doing: &'static str,
        #[source]
        source: ForgeError,
    },
    #[error("the entry has been changed meanwhile: see `albatros repo show`, then run this again")]
    Overtaken,
    #[error("no random bytes: {0}")]
    Random(getrandom::Error),
    #[error("nothing can be written to standard output")]
    Output(#[from] std::io::Error),
}

impl RepoError {
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) | Self::Settings(_) | Self::Endpoint(_) | Self::Config(_) => Exit::Usage,
            Self::Forge { source: ForgeError::Refused(_), .. } | Self::Overtaken => Exit::Failed,
            Self::Registry(_) | Self::Forge { .. } | Self::Random(_) | Self::Output(_) => Exit::Infra,
        }
    }

    fn forge(doing: &'static str) -> impl FnOnce(ForgeError) -> Self {
        move |source| Self::Forge { doing, source }
    }
}

impl RepoArgs {
    /// Runs the verb.
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, RepoError> {
        match self.verb {
            RepoVerb::Add(args) => args.run(env).await,
            RepoVerb::Show(args) => args.run(env).await,
            RepoVerb::List(args) => args.run(env).await,
            RepoVerb::Check(args) => args.run(env).await,
            RepoVerb::Remove(args) => args.run(env).await,
        }
    }
}
