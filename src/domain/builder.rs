//! What a builder (a parameterized Nomad job) takes, read from `GET /v1/job/<name>`.

use super::nomad::{Job, Task};
use super::outcome::GROUP;
use super::runner::{CONTROLLER, IDENTITY};

/// The meta keys that every builder takes and every dispatch carries.
pub const ALWAYS: [&str; 4] = ["REPO_URL", "COMMIT", "BRANCH", "FLAVOR"];

/// Whether a builder takes a payload; Nomad's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PayloadMode {
    /// May be given.
    #[default]
    Optional,
    /// Must be given.
    Required,
    /// Must not be given.
    Forbidden,
}

/// The part of a builder that planning a dispatch needs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BuilderShape {
    /// `ParameterizedJob.MetaRequired`.
    pub meta_required: Vec<String>,
    /// `ParameterizedJob.MetaOptional`.
    pub meta_optional: Vec<String>,
    /// `ParameterizedJob.Payload`.
    pub payload: PayloadMode,
    /// Group `runner` has a task `controller` with an identity `albatros`: secrets go through the exchange, never as payload.
    pub has_controller: bool,
    /// The job's `JobModifyIndex`.
    pub modify_index: u64,
}

/// Why a job is no builder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuilderError {
    /// It takes no dispatch.
    #[error("the job is not parameterized")]
    NotParameterized,
    /// It was stopped.
    #[error("the job is stopped")]
    Stopped,
}

impl BuilderShape {
    /// What a parameterized job takes, stopped or not; none for another job.
    #[must_use]
    pub fn read(job: &Job) -> Option<Self> {
        let takes = job.parameterized_job.as_ref()?;
        let controller =
            |task: &Task| task.name == CONTROLLER && task.identities.iter().any(|identity| identity.name == IDENTITY);
        let runner = job.task_groups.iter().filter(|group| group.name == GROUP);
        Some(Self {
            meta_required: takes.meta_required.clone(),
            meta_optional: takes.meta_optional.clone(),
            payload: match takes.payload.as_str() {
                "required" => PayloadMode::Required,
                "forbidden" => PayloadMode::Forbidden,
                _ => PayloadMode::Optional,
            },
            has_controller: runner.flat_map(|group| &group.tasks).any(controller),
            modify_index: job.job_modify_index,
        })
    }

    /// Whether it may be sent this meta key.
    #[must_use]
    pub fn takes(&self, key: &str) -> bool {
        self.meta_required.iter().chain(&self.meta_optional).any(|known| known == key)
    }

    /// The same of a job that can be dispatched from.
    ///
    /// # Errors
    /// When nothing can be dispatched from it.
    pub fn of(job: &Job) -> Result<Self, BuilderError> {
        let shape = Self::read(job).ok_or(BuilderError::NotParameterized)?;
        if job.stop { Err(BuilderError::Stopped) } else { Ok(shape) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(job: serde_json::Value) -> Result<BuilderShape, BuilderError> {
        BuilderShape::of(&serde_json::from_value(job).unwrap())
    }

    #[test]
    fn a_builder_is_a_parameterized_job_that_is_not_stopped() {
        let takes = serde_json::json!({"Payload": "required", "MetaRequired": ["COMMIT"], "MetaOptional": null});
        let read = shape(serde_json::json!({"ParameterizedJob": takes, "JobModifyIndex": 9})).unwrap();
        assert_eq!(
            (read.payload, read.meta_required, read.modify_index),
            (PayloadMode::Required, vec!["COMMIT".to_owned()], 9)
        );
        assert_eq!(shape(serde_json::json!({"ID": "web"})), Err(BuilderError::NotParameterized));
        assert_eq!(shape(serde_json::json!({"ParameterizedJob": takes, "Stop": true})), Err(BuilderError::Stopped));
    }

    #[test]
    fn a_controller_is_one_in_the_runner_group_with_its_identity() {
        let has = |group: &str, task: &str, identity: &str| {
            shape(serde_json::json!({"ParameterizedJob": {}, "TaskGroups": [
                {"Name": group, "Tasks": [{"Name": task, "Identities": [{"Name": identity}]}]}]}))
            .unwrap()
            .has_controller
        };
        assert!(has("runner", "controller", "albatros"));
        assert!(!has("other", "controller", "albatros"));
        assert!(!has("runner", "sidecar", "albatros"));
        assert!(!has("runner", "controller", "vault"));
    }
}
