//! The files that a held change touches, for who is to approve it.

use std::collections::HashMap;
use std::time::Duration;

use crate::dispatcher::App;
use crate::dispatcher::approvals::{Files, Script, files_of};
use crate::dispatcher::pages::text;
use crate::domain::config::RepoConfig;
use crate::domain::record::Record;

/// How long the forge may take; a page without files is better than none.
const WITHIN: Duration = Duration::from_millis(1_500);
/// Files on a page.
const SHOWN: usize = 50;

/// As far as they are known.
#[derive(Debug)]
pub(super) struct Touched {
    pub(super) names: Vec<String>,
    /// How many more there are.
    pub(super) more: usize,
    /// In a sentence: whether the script is among them, or why nothing is known.
    pub(super) sentence: String,
}

impl Touched {
    /// None of what is not held, and for who may not read the repository.
    pub(super) async fn of(app: &App, held: Option<&Record>, config: Option<&RepoConfig>) -> Option<Self> {
        let (record, config) = (held?, config?);
        let configs = HashMap::from([(record.repo.clone(), config.clone())]);
        let asked = tokio::time::timeout(WITHIN, files_of(app, &[record], &configs)).await;
        Some(match asked.map(|mut files| files.pop()) {
            Ok(Some(files)) => Self::told(files),
            Ok(None) | Err(_) => Self::unknown("the forge did not answer in time"),
        })
    }

    fn told(files: Files) -> Self {
        let (names, count, whole, script) = match files {
            Files::Known { names, count, whole, albatros } => (names, count, whole, albatros),
            Files::Unknown { unknown } => return Self::unknown(&unknown),
        };
        let script = match script {
            Script::Changed => "it changes .albatros, the script that is run",
            Script::Unchanged => "it does not change .albatros, the script that is run",
            Script::Unknown => "whether it changes .albatros, the script that is run, is not known",
        };
        let files = if count == 1 { "file" } else { "files" };
        let least = if whole { "" } else { "at least " };
        let names: Vec<String> = names.iter().take(SHOWN).map(|name| text::name(name)).collect();
        Self { more: count.saturating_sub(names.len()), names, sentence: format!("{least}{count} {files}; {script}") }
    }

    fn unknown(why: &str) -> Self {
        Self { names: Vec::new(), more: 0, sentence: format!("What it changes is not known: {}", text::name(why)) }
    }
}
