//! What a runner's own build asks for.

use std::time::Duration;

use reqwest::Method;

use super::{Controller, ControllerError};
use crate::api::http::HttpError;
use crate::domain::runner_wire::RunnerRegistration;

/// Longer than the controller waits for serve, which asks the forge.
const REGISTERED_WITHIN: Duration = Duration::from_secs(90);

impl Controller {
    /// `POST /v1/runner`: what this runner is known by at its forge, given once. 404: the build is no runner; 410: it has
    /// been given.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn runner(&self) -> Result<RunnerRegistration, ControllerError> {
        let answer = self.answer(self.request(Method::POST, &["runner"], Some(REGISTERED_WITHIN))).await?;
        let strange = |error| HttpError::Json(<serde_json::Error as serde::de::Error>::custom(error));
        RunnerRegistration::from_wire(&answer.body).map_err(|error| ControllerError::Strange(strange(error)))
    }
}
