//! `albatros trigger` and `retry`: builds that nobody has pushed.

use clap::Args;
use serde_json::{Map, Value, json};

use super::follow::Stay;
use super::{ClientError, Server, path};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::domain::id::Flavor;

/// Start a build of a branch, tag, commit or pull request
#[derive(Debug, Args)]
pub(crate) struct TriggerArgs {
    #[command(flatten)]
    server: Server,
    /// The repository's address, as configured
    repo: String,
    #[command(flatten)]
    target: Target,
    /// The commit, or its first digits; without it the forge is asked
    #[arg(long, value_name = "SHA")]
    commit: Option<String>,
    /// The flavor
    #[arg(long, default_value_t)]
    flavor: Flavor,
    /// Given to the build by name; no secret, as `status` shows it
    #[arg(long = "param", value_name = "NAME=VALUE")]
    params: Vec<String>,
    /// Asked again with the same key, the same change is not built again: for schedules and scripts that try again
    #[arg(long)]
    key: Option<String>,
    /// Take a flavor that looks mistyped
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    stay: Stay,
}

/// Where to look; without any it is the repository's default branch.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct Target {
    /// A branch
    #[arg(long)]
    branch: Option<String>,
    /// A tag
    #[arg(long)]
    tag: Option<String>,
    /// A pull request, at its newest commit
    #[arg(long, value_name = "NUMBER")]
    pull_request: Option<u64>,
    /// refs/heads/…, refs/tags/…, refs/pull/N/head, or a branch
    #[arg(long = "ref", value_name = "REF")]
    git_ref: Option<String>,
}

impl TriggerArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let mut wanted = Map::new();
        let Target { branch, tag, pull_request, git_ref } = &self.target;
        let fields = [
            ("repo", json!(self.repo)),
            ("ref", json!(git_ref)),
            ("branch", json!(branch)),
            ("tag", json!(tag)),
            ("pull_request", json!(pull_request)),
            ("commit", json!(self.commit)),
            ("flavor", json!(self.flavor)),
            ("params", params(&self.params)?),
            ("force", json!(self.force)),
        ];
        // An older server knows less: it is told only what was typed.
        let typed = fields.into_iter().filter(|(_, value)| !value.is_null() && *value != json!(false));
        wanted.extend(typed.map(|(name, value)| (name.to_owned(), value)));
        let answer = albatros.trigger(&Value::Object(wanted), self.key.as_deref()).await?;
        self.stay.on(&albatros, &answer, self.server.json).await
    }
}

/// An object of what was typed; null for nothing.
fn params(typed: &[String]) -> Result<Value, ClientError> {
    let mut params = Map::new();
    for one in typed {
        let wrong = || ClientError::Usage("--param: expected NAME=VALUE".to_owned());
        let (name, value) = one.split_once('=').ok_or_else(wrong)?;
        if params.insert(name.to_owned(), json!(value)).is_some() {
            return Err(ClientError::Usage(format!("--param: {name} is given twice")));
        }
    }
    Ok(if params.is_empty() { Value::Null } else { Value::Object(params) })
}

/// Build again what is over: same commit, flavor and parameters
#[derive(Debug, Args)]
pub(crate) struct RetryArgs {
    #[command(flatten)]
    server: Server,
    /// The build's id, or a claim
    id: String,
    #[command(flatten)]
    stay: Stay,
}

impl RetryArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let answer = albatros.retry(&path(&self.id)?.segments()).await?;
        self.stay.on(&albatros, &answer, self.server.json).await
    }
}
