//! A build that is a runner: serve registers it at its forge, and gives what it is known by there.

use std::time::Duration;

use super::{SessionError, SessionServer};
use crate::api::http::HttpError;
use crate::domain::id::ClaimId;
use crate::domain::runner_wire::{RegistrationError, RunnerRegistration};
use crate::domain::secret::Secret;

/// serve asks the forge several times, and writes into the registry between.
const REGISTERED_WITHIN: Duration = Duration::from_secs(60);

impl SessionServer {
    /// `POST /session/{claim}/runner`: registers the runner that this build is. Asked again, serve removes the
    /// registration before. 404: it is no runner.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn runner(&self, claim: &ClaimId, secret: &Secret) -> Result<RunnerRegistration, SessionError> {
        let url = self.url(&["session", claim.as_str(), "runner"]);
        let request = self.client.post(url).bearer_auth(secret.expose());
        let answer = self.send(request.timeout(REGISTERED_WITHIN)).await?;
        RunnerRegistration::from_wire(&answer.body).map_err(strange)
    }
}

fn strange(error: RegistrationError) -> SessionError {
    SessionError::NoAnswer(HttpError::Json(<serde_json::Error as serde::de::Error>::custom(error)))
}
