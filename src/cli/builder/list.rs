//! `albatros builder list`: the builders of the builds' namespace.

use clap::Args;
use serde_json::{Value, json};

use super::check::How;
use super::{BuilderError, Where, connect, print, unanswered};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::cli::table::table;

/// Builders that are looked into; of more there are only names.
const LOOKED_INTO: usize = 100;

/// List the builders in the builds' namespace, and what is wrong with them.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    at: Where,
}

impl ListArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, BuilderError> {
        let nomad = connect(&self.at, env)?;
        let jobs = nomad.parents().await.map_err(unanswered(&nomad, "list-jobs"))?;
        let builders: Vec<_> = jobs.into_iter().filter(|job| job.parameterized_job).collect();
        let how = How { nomad: &nomad, offline: false, trusted_only: false };
        let mut rows = Vec::new();
        for (at, job) in builders.iter().enumerate() {
            let state = if job.stop { "stopped" } else { "ready" };
            let checked = if at < LOOKED_INTO { how.glance(&job.id).await } else { None };
            rows.push((job.id.clone(), state, checked));
        }
        if self.at.json {
            let of = |(name, state, checked): &(String, &str, Option<print::Checked>)| {
                let findings = checked.as_ref().map(|checked| checked.findings.clone());
                json!({"builder": name, "namespace": nomad.namespace(), "state": state, "findings": findings})
            };
            print::json(&rows.iter().map(of).collect::<Value>())?;
            return Ok(Exit::Success);
        }
        if rows.is_empty() {
            let namespace = nomad.namespace();
            print::lines(&format!(
                "no builders in the namespace \"{namespace}\"; albatros builder register hcl/builder.hcl"
            ))?;
            return Ok(Exit::Success);
        }
        let mut table = table();
        for (name, state, checked) in &rows {
            let found = checked.as_ref().map_or_else(|| "not checked".to_owned(), print::Checked::sum);
            table.add_row([name.as_str(), state, &found]);
        }
        print::lines(&table.trim_fmt())?;
        Ok(Exit::Success)
    }
}
