//! `albatros repo show` and `albatros repo list`.

use std::io::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::operator::{Operator, config, of_entry};
use super::{Common, RepoError};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::domain::config::{ForgeKind, redacted};
use crate::domain::json::shown;
use crate::registry::Kept;

/// Show a repository's entry; secrets are only said to be there
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The repository's address
    repo: String,
    #[command(flatten)]
    common: Common,
}

/// List the entries that there are
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    common: Common,
}

impl ShowArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, RepoError> {
        let operator = Operator::new(&self.common, env)?;
        let repo = of_entry(&self.repo)?;
        let found = operator.known(&repo).await?;
        let tested = operator.entries.tested(repo.canonical()).await?.map(|(_, tested)| tested);
        let mut out = std::io::stdout().lock();
        let entries: Vec<Value> = found.iter().map(entry).collect();
        if self.common.json {
            writeln!(out, "{:#}", json!({ "entries": entries, "tested": tested }))?;
            return Ok(Exit::Success);
        }
        for (kept, entry) in found.iter().zip(&entries) {
            writeln!(out, "key      {}{}", operator.entries.folder(), shown_name(kept))?;
            writeln!(out, "address  {}", spelling(kept))?;
            if let Some(why) = entry.get("broken").and_then(Value::as_str) {
                writeln!(out, "broken   {why}")?;
            }
            writeln!(out, "{:#}", entry.get("value").unwrap_or(&Value::Null))?;
        }
        if let Some(tested) = tested {
            writeln!(out, "tested   {} by {} ({})", tested.at, tested.origin.forge, tested.origin.delivery)?;
        }
        Ok(Exit::Success)
    }
}

impl ListArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, RepoError> {
        let operator = Operator::new(&self.common, env)?;
        let all = operator.entries.all().await?;
        let mut out = std::io::stdout().lock();
        if self.common.json {
            let all: Vec<Value> = all.iter().map(entry).collect();
            writeln!(out, "{:#}", Value::from(all))?;
            return Ok(Exit::Success);
        }
        if all.is_empty() {
            writeln!(out, "no repositories under {}: `albatros repo add URL`", operator.entries.folder())?;
        }
        for kept in &all {
            writeln!(out, "{}  {}", spelling(kept), in_short(kept))?;
        }
        Ok(Exit::Success)
    }
}

/// An entry for programs, without its secrets.
fn entry(kept: &Kept) -> Value {
    let parsed = crate::domain::config::RepoConfig::parse(&kept.value);
    let value: Option<Value> = serde_json::from_slice(&kept.value).ok();
    json!({
        "key": shown_name(kept),
        "address": kept.address.as_ref().map(|address| address.sent().to_owned()),
        "canonical": kept.address.as_ref().map(|address| address.canonical().to_owned()),
        "broken": parsed.err().map(|why| why.to_string()),
        "value": value.as_ref().map(redacted),
    })
}

fn shown_name(kept: &Kept) -> String {
    kept.name.chars().filter(|c| !c.is_control()).collect()
}

fn spelling(kept: &Kept) -> String {
    match &kept.address {
        Some(address) => address.sent().to_owned(),
        None => format!("(no address: {})", shown(&kept.name)),
    }
}

fn in_short(kept: &Kept) -> String {
    let Some(config) = config(kept) else { return "BROKEN: see `albatros repo check`".to_owned() };
    let forge = match config.forge.map(|forge| forge.kind) {
        Some(ForgeKind::Gitea) => "gitea",
        Some(ForgeKind::Github) => "github",
        None => "no forge",
    };
    let credential = if config.hook_secrets.is_empty() { "token" } else { "secret" };
    format!("{forge}, {credential}, builder {}", config.builder)
}
