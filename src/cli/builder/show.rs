//! `albatros builder show`: what a registered builder takes and gives.

use clap::Args;
use serde_json::{Value, json};

use super::check::{How, of_name};
use super::{BuilderError, Where, connect, print, unanswered, unknown};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::cli::table::table;
use crate::domain::builder_check::Job;

/// Show a registered builder: what it takes, how it runs, what is wrong with it.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    at: Where,
    /// Its name
    name: String,
}

impl ShowArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, BuilderError> {
        let nomad = connect(&self.at, env)?;
        let job = nomad.whole_job(&self.name).await.map_err(unanswered(&nomad, "read-job"))?;
        let Some(job) = job else {
            return Err(unknown(&nomad, &self.name).await);
        };
        let read = Job::read(&job).map_err(|error| BuilderError::Usage(format!("{}: {error}", self.name)))?;
        let how = How { nomad: &nomad, offline: false, trusted_only: false };
        let checked = of_name(&self.name, &how).await?;
        let rows = rows(&read);
        if self.at.json {
            let mut shown: serde_json::Map<String, Value> =
                rows.into_iter().map(|(name, value)| (name.replace(' ', "_"), value)).collect();
            shown.insert("findings".to_owned(), json!(checked.findings));
            print::json(&shown.into())?;
            return Ok(Exit::Success);
        }
        let mut table = table();
        for (name, value) in rows {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text,
                Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
                other => other.to_string(),
            };
            table.add_row([name, text]);
        }
        print::lines(&format!("{}\n{}", table.trim_fmt(), checked.text()))?;
        Ok(Exit::Success)
    }
}

fn rows(job: &Job) -> Vec<(String, Value)> {
    let takes = job.parameterized_job.clone().unwrap_or_default();
    let runner = job.runner();
    let executor = runner.and_then(|group| group.tasks.iter().find(|task| task.is_executor()));
    let tasks: Vec<&str> = runner.into_iter().flat_map(|group| &group.tasks).map(|task| task.name.as_str()).collect();
    let secrets = match (job.has_controller(), takes.payload.as_str()) {
        (true, _) => "by its controller",
        (false, "forbidden") => "none",
        (false, _) => "as the dispatch's payload",
    };
    let limit = runner.and_then(|group| group.max_run_duration).filter(|limit| *limit > 0.0);
    let image = executor.and_then(|task| task.config.get("image")).cloned();
    let rows = [
        ("builder", job.id.as_str().into()),
        ("namespace", job.namespace.clone().into()),
        ("version", job.version.into()),
        ("stopped", job.stop.filter(|stopped| *stopped).into()),
        ("driver", executor.map(|task| task.driver.as_str()).into()),
        ("image", image.unwrap_or_default()),
        ("default image", job.meta.get("IMAGE").cloned().unwrap_or_default()),
        ("tasks", tasks.into()),
        ("required", takes.meta_required.into()),
        ("optional", takes.meta_optional.into()),
        ("secrets", secrets.into()),
        ("for jobs", job.takes("JOB").into()),
        ("time limit", limit.map(|limit| format!("{} s", limit / 1e9)).into()),
    ];
    rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
