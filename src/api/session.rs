//! A build's session at serve: asked for once by its controller, and told the build's report.

pub mod blobs;
pub mod jobs;
mod log;
mod runner;

use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde::Serialize;
use url::Url;

use super::http::{Answer, EndpointError, HttpError, service_client};
use crate::domain::grant::Grant;
use crate::domain::id::ClaimId;
use crate::domain::problem::Problem;
use crate::domain::report::Report;
use crate::domain::secret::Secret;

/// serve itself asks Nomad, the registry and the forge before it answers.
const EXCHANGE_WITHIN: Duration = Duration::from_secs(30);
/// A report is one write in the registry.
const REPORT_WITHIN: Duration = Duration::from_secs(10);
/// A grant is a configuration's parameters and a little more.
const ANSWER_MOST: usize = 4 << 20;

/// Why serve did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// No answer, or one that is not serve's: it may come later.
    #[error("the server does not answer")]
    NoAnswer(#[source] HttpError),
    /// It said no, or not yet, in a sentence of its own.
    #[error("{}", .problem.detail)]
    Refused {
        /// What it said.
        problem: Problem,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
}

/// serve, as the controller of a build sees it.
#[derive(Debug, Clone)]
pub struct SessionServer {
    client: Client,
    base: Url,
    /// Trusted for what serve names besides itself, too.
    ca: Option<PathBuf>,
}

#[derive(Serialize)]
struct Exchange<'a> {
    claim: &'a str,
    secret: &'a str,
}

impl SessionServer {
    /// serve at `base`; with `ca` only that authority is trusted for it.
    ///
    /// # Errors
    /// When the file cannot be read or no client can be made.
    pub fn new(base: Url, ca: Option<&Path>) -> Result<Self, EndpointError> {
        Ok(Self { client: service_client(&base, ca)?, base, ca: ca.map(Path::to_owned) })
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, SessionError> {
        let response = request.send().await.map_err(|error| SessionError::NoAnswer(HttpError::no_answer(error)))?;
        let answer = Answer::read(response, ANSWER_MOST).await.map_err(SessionError::NoAnswer)?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(SessionError::refused(&answer))
    }

    /// `POST /session`: shows the task's identity, and makes `secret` the session's. The same secret again is fine.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn exchange(&self, jwt: &Secret, claim: &ClaimId, secret: &Secret) -> Result<Grant, SessionError> {
        let body = Exchange { claim: claim.as_str(), secret: secret.expose() };
        let request = self.client.post(self.url(&["session"])).bearer_auth(jwt.expose()).json(&body);
        let answer = self.send(request.timeout(EXCHANGE_WITHIN)).await?;
        Grant::from_wire(&answer.body).map_err(|error| SessionError::NoAnswer(HttpError::Json(error)))
    }

    /// `PUT /session/{claim}/report`: the whole report, in place of the one before.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn report(&self, claim: &ClaimId, secret: &Secret, report: &Report) -> Result<(), SessionError> {
        let url = self.url(&["session", claim.as_str(), "report"]);
        let request = self.client.put(url).bearer_auth(secret.expose()).json(report);
        self.send(request.timeout(REPORT_WITHIN)).await.map(drop)
    }
}

impl SessionError {
    fn refused(answer: &Answer) -> Self {
        let retry_after = answer.number("retry-after").map(Duration::from_secs);
        Self::Refused { problem: Problem::of(answer.status.as_u16(), &answer.body), retry_after }
    }

    /// The status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { problem, .. } => StatusCode::from_u16(problem.status).ok(),
            Self::NoAnswer(_) => None,
        }
    }

    /// How long serve, or whom it asks for us, wants to be left alone, where it says so.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            Self::NoAnswer(_) => None,
        }
    }
}
