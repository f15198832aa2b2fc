//! A build's jobs at serve, as the build's controller starts, watches and stops them.

use std::time::Duration;

use bytes::Bytes;
use reqwest::Response;
use serde::Serialize;

use super::{ANSWER_MOST, SessionError, SessionServer};
use crate::api::http::{Answer, HttpError};
use crate::domain::id::{ClaimId, JobName};
use crate::domain::job::{Job, JobList, JobSpec};
use crate::domain::secret::Secret;

/// A claim, a write of the build's own record, and a dispatch that answers in time or is left to go on.
const PUT_WITHIN: Duration = Duration::from_secs(20);
/// One read or one write in the registry.
const CALL_WITHIN: Duration = Duration::from_secs(10);
/// The longest that serve holds a list, whatever it is asked.
pub const LIST_WAIT_MOST: Duration = Duration::from_secs(30);

#[derive(Serialize)]
struct Address<'a> {
    address: &'a str,
}

impl SessionServer {
    /// `PUT /session/{claim}/jobs/{name}`: starts a job, once however often it is asked: the same again answers with how
    /// far it is. 409: there is another one of that name. 410: the build is over. 422: serve refuses it, and says why.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn start_job(&self, claim: &ClaimId, secret: &Secret, spec: &JobSpec) -> Result<Job, SessionError> {
        let url = self.url(&["session", claim.as_str(), "jobs", spec.name.as_str()]);
        let request = self.client.put(url).bearer_auth(secret.expose()).json(spec);
        let answer = self.send(request.timeout(PUT_WITHIN)).await?;
        answer.json().map_err(SessionError::NoAnswer)
    }

    /// `GET /session/{claim}/jobs`: all jobs of the build. With the version of an earlier answer it is held until
    /// something is another, at most `wait` (and at most [`LIST_WAIT_MOST`]); then the same version comes again.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn jobs(
        &self,
        claim: &ClaimId,
        secret: &Secret,
        since: Option<u64>,
        wait: Duration,
    ) -> Result<JobList, SessionError> {
        let wait = wait.min(LIST_WAIT_MOST);
        let mut url = self.url(&["session", claim.as_str(), "jobs"]);
        if let Some(since) = since {
            let (since, wait) = (since.to_string(), format!("{}s", wait.as_secs().max(1)));
            url.query_pairs_mut().append_pair("since", &since).append_pair("wait", &wait);
        }
        let request = self.client.get(url).bearer_auth(secret.expose());
        let answer = self.send(request.timeout(wait + CALL_WITHIN)).await?;
        answer.json().map_err(SessionError::NoAnswer)
    }

    /// `GET /session/{claim}/jobs/{name}/log`: as the query of `/build` asks (`log`, `follow`, `raw`), until the job has
    /// ended. There is no limit of time on it: whoever reads it has one.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn job_log(
        &self,
        claim: &ClaimId,
        secret: &Secret,
        name: &JobName,
        query: &[(&str, &str)],
    ) -> Result<JobLog, SessionError> {
        let mut url = self.url(&["session", claim.as_str(), "jobs", name.as_str(), "log"]);
        url.query_pairs_mut().extend_pairs(query);
        let sent = self.client.get(url).bearer_auth(secret.expose()).send();
        let response = tokio::time::timeout(PUT_WITHIN, sent).await;
        let response = response.map_err(|_elapsed| SessionError::NoAnswer(HttpError::Slow))?;
        let response = response.map_err(|error| SessionError::NoAnswer(HttpError::no_answer(error)))?;
        if response.status().is_success() {
            return Ok(JobLog(response));
        }
        let answer = Answer::read(response, ANSWER_MOST).await.map_err(SessionError::NoAnswer)?;
        Err(SessionError::refused(&answer))
    }

    /// `DELETE /session/{claim}/jobs/{name}`: stops a job; one that is over stays what it is.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn stop_job(&self, claim: &ClaimId, secret: &Secret, name: &JobName) -> Result<(), SessionError> {
        let url = self.url(&["session", claim.as_str(), "jobs", name.as_str()]);
        let request = self.client.delete(url).bearer_auth(secret.expose());
        self.send(request.timeout(CALL_WITHIN)).await.map(drop)
    }

    /// `PUT /session/{claim}/address`: where the controller of a service takes connections, told by itself once the
    /// service's port takes them: from then on the job is ready.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn tell_address(&self, claim: &ClaimId, secret: &Secret, address: &str) -> Result<(), SessionError> {
        let url = self.url(&["session", claim.as_str(), "address"]);
        let request = self.client.put(url).bearer_auth(secret.expose()).json(&Address { address });
        self.send(request.timeout(CALL_WITHIN)).await.map(drop)
    }
}

/// A job's log as it comes.
#[derive(Debug)]
pub struct JobLog(Response);

impl JobLog {
    /// The next piece; none at the end.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.0.chunk().await.map_err(|error| HttpError::Cut(error.without_url()))
    }
}
