//! Verbs against a server at `ALBATROS_URL`: a file a group of them.

mod artifacts;
mod builds;
mod follow;
mod held;
mod logs;
mod show;
mod show_held;
mod trigger;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use reqwest::StatusCode;
use serde_json::Value;
use url::Url;

use super::exit::Exit;
use super::settings::Environment;
use crate::api::albatros::{Albatros, AlbatrosError};
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::secret::Secret;

/// Where the server is and who asks.
#[derive(Debug, Args)]
pub(super) struct Server {
    /// The server's address (also ALBATROS_URL)
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// A file that holds the token for what is private and for cancel, approve and trigger (also ALBATROS_TOKEN)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// An authority to trust for the server, beside the public ones (also ALBATROS_CACERT)
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum ClientVerb {
    Trigger(trigger::TriggerArgs),
    Retry(trigger::RetryArgs),
    Logs(logs::LogsArgs),
    Artifacts(artifacts::ArtifactsArgs),
    Status(builds::StatusArgs),
    List(builds::ListArgs),
    Cancel(builds::CancelArgs),
    Held(held::HeldArgs),
    Approve(held::ApproveArgs),
    Approved(held::ApprovedArgs),
    Revoke(held::RevokeArgs),
}

/// Runs a verb. `env` reads the environment.
pub(crate) async fn run(verb: ClientVerb, env: Environment<'_>) -> Result<Exit, ClientError> {
    match verb {
        ClientVerb::Trigger(args) => args.run(env).await,
        ClientVerb::Retry(args) => args.run(env).await,
        ClientVerb::Logs(args) => args.run(env).await,
        ClientVerb::Artifacts(args) => args.run(env).await,
        ClientVerb::Status(args) => args.run(env).await,
        ClientVerb::List(args) => args.run(env).await,
        ClientVerb::Cancel(args) => args.run(env).await,
        ClientVerb::Held(args) => args.run(env).await,
        ClientVerb::Approve(args) => args.run(env).await,
        ClientVerb::Approved(args) => args.run(env).await,
        ClientVerb::Revoke(args) => args.run(env).await,
    }
}

/// Why a client verb did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("{0}")]
    Usage(String),
    #[error(transparent)]
    Server(#[from] AlbatrosError),
    #[error("nothing can be written to standard output")]
    Output(#[from] std::io::Error),
}

impl ClientError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Usage(_) => Exit::Usage,
            // What is gone was asked for rightly.
            Self::Server(AlbatrosError::Refused { status: StatusCode::GONE, .. }) => Exit::Infra,
            Self::Server(AlbatrosError::Refused { status, .. }) if status.is_client_error() => Exit::Usage,
            Self::Server(_) | Self::Output(_) => Exit::Infra,
        }
    }
}

impl Server {
    /// Whom the environment and the options name.
    pub(super) fn connect(&self, env: Environment<'_>) -> Result<Albatros, ClientError> {
        let given = self.url.clone().or_else(|| env("ALBATROS_URL"));
        let text =
            given.ok_or_else(|| ClientError::Usage("where is the server? set ALBATROS_URL or --url".to_owned()))?;
        let wrong =
            || ClientError::Usage("ALBATROS_URL: expected an address such as https://ci.example.org".to_owned());
        let url = Url::parse(&text).map_err(|_parse| wrong())?;
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong());
        }
        let token = match &self.token_file {
            Some(file) => {
                let unreadable = |error| ClientError::Usage(format!("{}: {error}", file.display()));
                Some(std::fs::read_to_string(file).map_err(unreadable)?.trim().to_owned())
            }
            None => env("ALBATROS_TOKEN"),
        };
        let ca = self.cacert.clone().or_else(|| env("ALBATROS_CACERT").filter(|ca| !ca.is_empty()).map(PathBuf::from));
        Ok(Albatros::new(url, token.filter(|token| !token.is_empty()).map(Secret::new), ca.as_deref())?)
    }
}

/// A build or a claim, as typed.
pub(super) enum Named {
    Build(BuildId),
    Claim(ClaimId),
}

impl Named {
    /// Where a claim will not do.
    pub(super) fn build(self) -> Result<Self, ClientError> {
        match self {
            Self::Build(_) => Ok(self),
            Self::Claim(_) => Err(ClientError::Usage("a claim is no build; `status` tells its build".to_owned())),
        }
    }

    pub(super) fn segments(&self) -> Vec<&str> {
        match self {
            Self::Build(build) => vec!["builds", build.builder(), build.child()],
            Self::Claim(claim) => vec!["builds", "claim", claim.as_str()],
        }
    }
}

pub(super) fn path(id: &str) -> Result<Named, ClientError> {
    if let Ok(claim) = id.parse() {
        return Ok(Named::Claim(claim));
    }
    let wrong =
        |_error| ClientError::Usage(format!("{id}: neither a build (builder/dispatch-…) nor a claim (64 hex digits)"));
    id.parse().map(Named::Build).map_err(wrong)
}

/// The code of a build that is over.
pub(super) fn exit_of(view: &Value) -> Option<Exit> {
    let ended = view.get("ended").and_then(Value::as_bool).unwrap_or(false);
    let word = view.get("state").and_then(Value::as_str).unwrap_or_default();
    ended.then(|| Exit::of_word(word))
}
