//! What held changes touch, asked of their forges; bounded, for each change costs a forge several calls.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Serialize;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::super::App;
use crate::api::forge::{Changed, Forge, ForgeError, Range};
use crate::domain::config::RepoConfig;
use crate::domain::record::Record;

/// Changes that one request has a forge asked about.
const ASKED: usize = 20;
/// Of these at once.
const AT_ONCE: usize = 4;
/// All of it: who asks waits 30 s.
const WITHIN: Duration = Duration::from_secs(15);
/// Names of one change in an answer.
const NAMES: usize = 300;

/// The files of one change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Files {
    /// What the forge says.
    Known {
        /// The first of them.
        names: Vec<String>,
        /// How many there are.
        count: usize,
        /// Whether the forge listed all.
        whole: bool,
        /// Whether `.albatros` is among them.
        albatros: Script,
    },
    /// Why they are not known.
    Unknown {
        /// A sentence.
        unknown: String,
    },
}

/// What becomes of the script that is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Script {
    Changed,
    Unchanged,
    /// It may be among the files that are not listed.
    Unknown,
}

/// The files of each of `records`, in order. Only those are asked about whose configuration is given.
pub(crate) async fn of(app: &App, records: &[&Record], configs: &HashMap<String, RepoConfig>) -> Vec<Files> {
    let until = Instant::now() + WITHIN;
    let mut left = ASKED;
    let asks: Vec<_> = records
        .iter()
        .map(|record| {
            let may = match (configs.get(&record.repo), Range::of(record)) {
                (None, _) => Err("not asked: a token of this repository is needed"),
                (Some(_), None) => Err("not asked: its commit is no change of a branch or a pull request"),
                (Some(_), Some(_)) if record.parent.is_some() => Err("those of the build that started it"),
                (Some(_), Some(_)) if left == 0 => Err("not asked: too many at once; name it by its claim"),
                (Some(config), Some(range)) => Ok((config, range)),
            };
            left -= usize::from(may.is_ok());
            async move {
                match may {
                    Ok((config, range)) => ask(app, record, config, &range, until).await,
                    Err(why) => unknown(why),
                }
            }
        })
        .collect();
    futures_util::stream::iter(asks).buffered(AT_ONCE).collect().await
}

async fn ask(app: &App, record: &Record, config: &RepoConfig, range: &Range<'_>, until: Instant) -> Files {
    let Some(forge) = &config.forge else { return unknown("not asked: no forge is configured") };
    let asked = async { Forge::new(app.forge_client.clone(), forge, &record.repo)?.changed(range).await };
    match tokio::time::timeout_at(until, asked).await {
        Ok(Ok(changed)) => known(changed),
        Ok(Err(error)) => {
            let repo = record.canonical.as_str();
            tracing::warn!(repo, error = &error as &dyn std::error::Error, "a held change's files could not be asked");
            match error {
                ForgeError::Refused(why) => unknown(why),
                ForgeError::Unanswered(_) | ForgeError::Unavailable(_) => unknown("the forge does not answer"),
            }
        }
        Err(_elapsed) => unknown("the forge did not answer in time"),
    }
}

fn unknown(why: impl Into<String>) -> Files {
    Files::Unknown { unknown: why.into() }
}

fn known(changed: Changed) -> Files {
    let Changed { mut files, whole } = changed;
    if files.is_empty() && !whole {
        return unknown("the forge does not list them: the pull request may have a newer commit");
    }
    let is_script = |name: &String| name == ".albatros" || name.starts_with(".albatros/");
    let albatros = match (files.iter().any(is_script), whole) {
        (true, _) => Script::Changed,
        (false, true) => Script::Unchanged,
        (false, false) => Script::Unknown,
    };
    let count = files.len();
    files.truncate(NAMES);
    Files::Known { names: files, count, whole, albatros }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(files: &[&str], whole: bool) -> Files {
        known(Changed { files: files.iter().map(ToString::to_string).collect(), whole })
    }

    fn script(files: &Files) -> Option<Script> {
        match files {
            Files::Known { albatros, .. } => Some(*albatros),
            Files::Unknown { .. } => None,
        }
    }

    #[test]
    fn the_script_is_said_to_be_unchanged_only_where_all_files_are_known() {
        assert_eq!(script(&changed(&[".albatros", "a"], false)), Some(Script::Changed));
        assert_eq!(script(&changed(&[".albatros/lint"], true)), Some(Script::Changed));
        assert_eq!(script(&changed(&["a/.albatros", ".albatros.md"], true)), Some(Script::Unchanged));
        assert_eq!(script(&changed(&["a"], false)), Some(Script::Unknown));
        assert_eq!(script(&changed(&[], true)), Some(Script::Unchanged));
        assert_eq!(script(&changed(&[], false)), None);
    }

    #[test]
    fn an_answer_holds_the_first_names_and_counts_all() {
        let many: Vec<String> = (0..1_000).map(|n| format!("f{n}")).collect();
        let Files::Known { names, count, .. } = known(Changed { files: many, whole: true }) else { panic!() };
        assert_eq!((names.len(), count), (NAMES, 1_000));
    }
}
