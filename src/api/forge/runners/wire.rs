//! Jobs and runners as forges write them down; Gitea took its words over from GitHub.

use serde::Deserialize;

use crate::domain::runners::SeenRunner;

#[derive(Deserialize)]
pub(super) struct Runners {
    #[serde(default, deserialize_with = "or_none")]
    pub(super) runners: Vec<ListedRunner>,
    #[serde(default)]
    pub(super) total_count: usize,
}

#[derive(Deserialize)]
pub(super) struct ListedRunner {
    pub(super) id: u64,
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) busy: bool,
}

impl From<ListedRunner> for SeenRunner {
    fn from(listed: ListedRunner) -> Self {
        Self { id: listed.id, name: listed.name, busy: listed.busy }
    }
}

#[derive(Deserialize)]
pub(super) struct Jobs {
    #[serde(default, deserialize_with = "or_none")]
    pub(super) jobs: Vec<crate::domain::delivery::ListedJob>,
    #[serde(default)]
    pub(super) total_count: usize,
}

#[derive(Deserialize)]
pub(super) struct Runs {
    #[serde(default, deserialize_with = "or_none")]
    pub(super) workflow_runs: Vec<Run>,
    #[serde(default)]
    pub(super) total_count: usize,
}

#[derive(Deserialize)]
pub(super) struct Run {
    pub(super) id: u64,
}

#[derive(Deserialize)]
pub(super) struct Repository {
    pub(super) name: String,
    pub(super) owner: Account,
}

#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) login: String,
}

#[derive(Deserialize)]
pub(super) struct Groups {
    pub(super) runner_groups: Vec<Group>,
}

#[derive(Deserialize)]
pub(super) struct Group {
    pub(super) id: u64,
    pub(super) name: String,
}

/// Go writes a list without entries as null.
fn or_none<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Option::<Vec<T>>::deserialize(from).map(Option::unwrap_or_default)
}
