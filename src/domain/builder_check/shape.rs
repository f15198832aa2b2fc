//! A job as checks see it: Nomad's JSON, absent and null being the same.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::domain::nomad::{Parameterized, null_is_default};
use crate::domain::outcome::{EXECUTOR, GROUP};
use crate::domain::runner::{CONTROLLER, IDENTITY, PREPARE, SIDECAR};

/// A job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Job {
    /// Its id, which is the builder's name.
    #[serde(rename = "ID", deserialize_with = "null_is_default")]
    pub id: String,
    /// Its namespace, where it names one.
    pub namespace: Option<String>,
    /// `batch`, `service`, …
    #[serde(rename = "Type")]
    pub kind: Option<String>,
    /// `pending`, `running`, `dead`, where Nomad knows it.
    pub status: Option<String>,
    /// Deregistered.
    pub stop: Option<bool>,
    /// Its version, where Nomad knows it.
    pub version: Option<u64>,
    /// What every build of it is given.
    #[serde(deserialize_with = "null_is_default")]
    pub meta: BTreeMap<String, Value>,
    /// What it takes.
    pub parameterized_job: Option<Parameterized>,
    /// Starts by itself.
    pub periodic: Option<Value>,
    /// For all its tasks.
    pub vault: Option<Value>,
    /// Groups.
    #[serde(deserialize_with = "null_is_default")]
    pub task_groups: Vec<Group>,
}

/// A task group.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Group {
    /// Its name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// How many of it.
    pub count: Option<f64>,
    /// What follows a failed task.
    pub restart_policy: Option<Restart>,
    /// What follows a failed allocation.
    pub reschedule_policy: Option<Reschedule>,
    /// What follows a lost node.
    pub disconnect: Option<Disconnect>,
    /// Nanoseconds.
    pub max_run_duration: Option<f64>,
    /// Its disk.
    pub ephemeral_disk: Option<Disk>,
    /// Its networks.
    #[serde(deserialize_with = "null_is_default")]
    pub networks: Vec<Network>,
    /// For all its tasks.
    pub vault: Option<Value>,
    /// Its tasks.
    #[serde(deserialize_with = "null_is_default")]
    pub tasks: Vec<Task>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Restart {
    pub(super) attempts: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Reschedule {
    pub(super) attempts: Option<f64>,
    pub(super) unlimited: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Disconnect {
    pub(super) lost_after: Option<f64>,
    pub(super) replace: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Disk {
    #[serde(rename = "SizeMB")]
    pub(super) size: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Network {
    pub(super) mode: Option<String>,
}

/// A task.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Task {
    /// Its name.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// What runs it.
    #[serde(deserialize_with = "null_is_default")]
    pub driver: String,
    /// What the driver is told.
    #[serde(deserialize_with = "null_is_default")]
    pub config: Map<String, Value>,
    /// Its environment.
    #[serde(deserialize_with = "null_is_default")]
    pub env: Map<String, Value>,
    /// Over the group's.
    pub restart_policy: Option<Restart>,
    /// The default identity, as a registered job has it.
    pub identity: Option<Identity>,
    /// Identities.
    #[serde(deserialize_with = "null_is_default")]
    pub identities: Vec<Identity>,
    /// A token of Vault's.
    pub vault: Option<Value>,
    /// A token of Consul's.
    pub consul: Option<Value>,
    /// Secrets that Nomad fetches.
    #[serde(deserialize_with = "null_is_default")]
    pub secrets: Vec<Named>,
    /// Templates.
    #[serde(deserialize_with = "null_is_default")]
    pub templates: Vec<Template>,
    /// When it runs.
    pub lifecycle: Option<Lifecycle>,
    /// Its log.
    pub log_config: Option<Logs>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Identity {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) name: String,
    #[serde(deserialize_with = "null_is_default")]
    pub(super) audience: Vec<String>,
    pub(super) env: Option<bool>,
    pub(super) file: Option<bool>,
    #[serde(rename = "TTL")]
    pub(super) ttl: Option<f64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Named {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Template {
    #[serde(rename = "EmbeddedTmpl", deserialize_with = "null_is_default")]
    pub(super) data: String,
    #[serde(rename = "SourcePath", deserialize_with = "null_is_default")]
    pub(super) source: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Lifecycle {
    #[serde(deserialize_with = "null_is_default")]
    pub(super) hook: String,
    pub(super) sidecar: Option<bool>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Logs {
    pub(super) max_files: Option<f64>,
    #[serde(rename = "MaxFileSizeMB")]
    pub(super) max_file_size: Option<f64>,
    pub(super) disabled: Option<bool>,
}

impl Job {
    /// Reads Nomad's JSON.
    ///
    /// # Errors
    /// When it is no job.
    pub fn read(json: &Value) -> Result<Self, serde_json::Error> {
        Self::deserialize(json)
    }

    /// The group that builds are judged by.
    #[must_use]
    pub fn runner(&self) -> Option<&Group> {
        self.task_groups.iter().find(|group| group.name == GROUP)
    }

    /// Whether it may be sent this meta key.
    #[must_use]
    pub fn takes(&self, key: &str) -> bool {
        let takes = self.parameterized_job.as_ref();
        takes.is_some_and(|it| it.meta_required.iter().chain(&it.meta_optional).any(|known| known == key))
    }

    /// Whether secrets come by a controller: `serve` goes by its identity.
    #[must_use]
    pub fn has_controller(&self) -> bool {
        let controller = self.runner().and_then(|group| group.tasks.iter().find(|task| task.name == CONTROLLER));
        controller.is_some_and(|task| task.identities.iter().any(|identity| identity.name == IDENTITY))
    }

    /// The group and the tasks that the script can influence: all but those that are ours.
    pub(super) fn exposed(&self) -> impl Iterator<Item = (&Group, &Task)> {
        let ours = self.has_controller();
        let runner = self.runner().into_iter();
        let tasks = runner.flat_map(|group| group.tasks.iter().map(move |task| (group, task)));
        tasks.filter(move |(_, task)| !ours || ![CONTROLLER, SIDECAR, PREPARE].contains(&task.name.as_str()))
    }
}

impl Task {
    /// Whether it runs the script itself.
    #[must_use]
    pub fn is_executor(&self) -> bool {
        self.name == EXECUTOR
    }
}
