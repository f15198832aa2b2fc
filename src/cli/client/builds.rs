//! `albatros status`, `list` and `cancel`: builds and changes as they stand.

use clap::Args;

use super::{ClientError, Server, exit_of, path, show};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;

/// The longest list that a server gives.
const LIST_MOST: u32 = 1000;

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
    /// Only this state: held, waiting, claimed, queued, running, success, failure, cancelled, …
    #[arg(long)]
    state: Option<String>,
    /// Only what this account started; @trigger is who starts what nobody pushed
    #[arg(long, value_name = "LOGIN")]
    sender: Option<String>,
    /// Only this flavor
    #[arg(long)]
    flavor: Option<String>,
    /// Only this kind of change: push, tag or pull_request
    #[arg(long)]
    event: Option<String>,
    /// Only what was claimed before this time, as `list` says at its end
    #[arg(long, value_name = "TIME")]
    before: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// The jobs that builds have started too
    #[arg(long)]
    jobs: bool,
}

impl ListArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let Self { repo, branch, state, sender, flavor, event, before, .. } = self;
        let query = [
            ("repo", repo),
            ("branch", branch),
            ("state", state),
            ("sender", sender),
            ("flavor", flavor),
            ("event", event),
            ("before", before),
            // One more than is shown tells whether there are more.
            ("limit", Some(self.limit.saturating_add(1).min(LIST_MOST).to_string())),
            ("jobs", self.jobs.then(|| "true".to_owned())),
        ];
        let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let mut views = albatros.list(&query).await?;
        let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = views.len() > most || views.len() >= LIST_MOST as usize;
        views.truncate(most);
        show::list(&views, more, self.server.json)?;
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
