//! `albatros repo remove`

use std::io::{IsTerminal as _, Write as _};

use clap::Args;
use serde_json::json;

use super::operator::{Operator, address, config};
use super::{Common, RepoError, webhook};
use crate::cli::exit::Exit;
use crate::cli::question;
use crate::cli::settings::Environment;
use crate::domain::repo_url::RepoUrl;
use crate::registry::{Kept, Written};

/// Remove a repository's webhook and its entry: nothing of it is built any more
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The repository's address
    repo: String,
    /// Leave the webhook at the forge
    #[arg(long)]
    keep_webhook: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    common: Common,
}

impl RemoveArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, RepoError> {
        let operator = Operator::new(&self.common, env)?;
        let repo = address(&self.repo)?;
        let found = operator.known(&repo).await?;
        if !self.yes && !agreed(&repo)? {
            return Ok(Exit::Failed);
        }
        // The entry goes last: it holds the token that the webhook's removal needs, so that this can be run again.
        let hooks = if self.keep_webhook { 0 } else { self.unhook(&operator, &found).await? };
        match operator.entries.remove(&found).await? {
            Written::Yes(_) => {}
            Written::Conflict | Written::LeaseLost => return Err(RepoError::Overtaken),
        }
        let mut out = std::io::stdout().lock();
        if self.common.json {
            let repo = repo.canonical();
            writeln!(out, "{:#}", json!({ "repo": repo, "entries": found.len(), "webhooks": hooks }))?;
        } else {
            writeln!(out, "removed: {} (entries: {}, webhooks: {hooks})", repo.canonical(), found.len())?;
        }
        Ok(Exit::Success)
    }

    /// Removes our webhooks; gives their number.
    async fn unhook(&self, operator: &Operator, found: &[Kept]) -> Result<usize, RepoError> {
        let Some((kept, forge)) = found.iter().find_map(|kept| Some((kept, config(kept)?.forge?))) else {
            return Ok(0);
        };
        let Some(address) = operator.hook() else {
            let sentence = "which webhook is it? set ALBATROS_URL or --server, or leave it with --keep-webhook";
            return Err(RepoError::Usage(sentence.to_owned()));
        };
        let Some(repo) = &kept.address else { return Ok(0) };
        let forge = operator.forge(&forge, repo)?;
        let doing = "the webhook is not removed, and the entry is left as it is (--keep-webhook leaves the webhook)";
        let hooks = forge.hooks().await.map_err(RepoError::forge(doing))?;
        let ours = webhook::leading_to(&hooks, &address);
        for hook in &ours {
            forge.delete_hook(hook.id).await.map_err(RepoError::forge(doing))?;
        }
        Ok(ours.len())
    }
}

/// Asks on a terminal; where there is none somebody must have said so.
fn agreed(repo: &RepoUrl) -> Result<bool, RepoError> {
    if !std::io::stdin().is_terminal() {
        return Err(RepoError::Usage("there is no terminal to ask on: say --yes".to_owned()));
    }
    Ok(question::agreed(&format!("Remove {}? Nothing of it is built any more.", repo.canonical()))?)
}
