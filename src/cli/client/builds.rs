//! `albatros status`, `list` and `cancel`: builds and changes as they stand.

use clap::Args;

use super::{ClientError, Server, exit_of, path, show};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;

/// Show one build, or a change that has none yet; exits with its code once it is over
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    server: Server,
    /// The build's id, or a claim
    id: String,
}

impl StatusArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let view = albatros.status(&path(&self.id)?.segments()).await?;
        show::one(&view, self.server.json)?;
        Ok(exit_of(&view).unwrap_or(Exit::Success))
    }
}

/// List builds, newest first
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    server: Server,
    /// Only this repository
    #[arg(long)]
    repo: Option<String>,
    /// Only this branch
    #[arg(long)]
    branch: Option<String>,
    /// Only this state
    #[arg(long)]
    state: Option<String>,
    /// At most so many
    #[arg(long)]
    limit: Option<u32>,
    /// The jobs that builds have started too
    #[arg(long)]
    jobs: bool,
}

impl ListArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let Self { repo, branch, state, .. } = self;
        let limit = self.limit.map(|limit| limit.to_string());
        let jobs = self.jobs.then(|| "true".to_owned());
        let query = [("repo", repo), ("branch", branch), ("state", state), ("limit", limit), ("jobs", jobs)];
        let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        show::list(&albatros.list(&query).await?, self.server.json)?;
        Ok(Exit::Success)
    }
}

/// Stop a build, or a change that has none yet
#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    server: Server,
    /// The build's id, or a claim
    id: String,
}

impl CancelArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        show::started(&albatros.cancel(&path(&self.id)?.segments()).await?, self.server.json)?;
        Ok(Exit::Success)
    }
}
