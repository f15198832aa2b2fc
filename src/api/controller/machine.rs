//! What the host of a build's machine tells of it.

use reqwest::Method;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{CALL_WITHIN, Controller, ControllerError};
use crate::domain::secret::Secret;

/// How far a machine is, as its host says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MachineState {
    /// It is about to be started, and its end will be told.
    Running,
    /// It has ended before the script has.
    Failed,
}

#[derive(Serialize)]
struct Told<'a> {
    state: MachineState,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

impl Controller {
    /// `POST /v1/machine`: the build runs in a machine, and only who has `key` tells its end.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn machine_runs(&self, key: &Secret) -> Result<(), ControllerError> {
        self.machine(&Told { state: MachineState::Running, key: key.expose(), why: None }).await
    }

    /// `POST /v1/machine`: it has ended otherwise than by the script's end.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn machine_failed(&self, key: &Secret, why: &str) -> Result<(), ControllerError> {
        self.machine(&Told { state: MachineState::Failed, key: key.expose(), why: Some(why) }).await
    }

    async fn machine(&self, told: &Told<'_>) -> Result<(), ControllerError> {
        self.answer(self.request(Method::POST, &["machine"], Some(CALL_WITHIN)).json(told)).await.map(drop)
    }
}
