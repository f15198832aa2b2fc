//! `albatros approve`: what waits for a person.

use clap::Args;

use super::{ClientError, Server, show};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::domain::id::ClaimId;

/// Build a pull request that is held, at the commit that is held
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    #[command(flatten)]
    server: Server,
    /// The claim, as `list` shows it
    claim: String,
}

impl ApproveArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, ClientError> {
        let albatros = self.server.connect(env)?;
        let claim: ClaimId = self.claim.parse().map_err(|error| ClientError::Usage(format!("{error}")))?;
        show::started(&albatros.approve(claim.as_str()).await?, self.server.json)?;
        Ok(Exit::Success)
    }
}
