//! `albatros trigger`: a build that nobody has pushed.

use clap::Args;
use serde_json::json;

use super::{ClientError, Server, show};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;

/// Start a build of a branch, tag or commit
#[derive(Debug, Args)]
pub(crate) struct TriggerArgs {
    #[command(flatten)]
    server: Server,
    /// The repository's address, as configured
    repo: String,
    /// A branch, or refs/heads/… or refs/tags/…
    #[arg(long = "ref", value_name = "REF", default_value = "main")]
    git_ref: String,
    /// The commit; without it the forge is asked
    #[arg(long)]
    commit: Option<String>,
    /// The flavor
    #[arg(long, default_value = "default")]
    flavor: String,
}

impl TriggerArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let mut wanted = json!({ "repo": self.repo, "ref": self.git_ref, "flavor": self.flavor });
        if let (Some(commit), Some(object)) = (self.commit, wanted.as_object_mut()) {
            object.insert("commit".to_owned(), json!(commit));
        }
        show::started(&albatros.trigger(&wanted).await?, self.server.json)?;
        Ok(Exit::Success)
    }
}
