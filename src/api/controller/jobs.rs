//! The jobs of a build, as its script asks for them, and connections to those that serve.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, StatusCode, Upgraded};

use super::{CALL_WITHIN, Controller, ControllerError};
use crate::api::http::HttpError;
use crate::domain::id::JobName;
use crate::domain::job::JobSpec;
use crate::domain::job::view::{JobView, Shown};

/// What `Upgrade` says of a connection that carries bytes to a port.
pub const TUNNEL: &str = "tcp";
/// Longer than a controller takes to reach a service.
const CONNECTED_WITHIN: Duration = Duration::from_secs(25);
/// A log may well wait for its job, but not its headers.
const OPENED_WITHIN: Duration = Duration::from_secs(30);

/// Which of a job's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// As it is asked for.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

impl Controller {
    /// `GET /v1/job`: what this build is to do, where it is a job of another one.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn job(&self) -> Result<Option<JobSpec>, ControllerError> {
        let asked = self.answer(self.request(Method::GET, &["job"], Some(CALL_WITHIN))).await;
        match asked {
            Ok(answer) => answer.json().map(Some).map_err(ControllerError::Strange),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `POST /v1/jobs`: puts jobs on the build's board, all or none; the same again is fine.
    ///
    /// # Errors
    /// See [`ControllerError`]; 422 names everything that is wrong with them.
    pub async fn start_jobs(&self, jobs: &[JobSpec]) -> Result<Shown, ControllerError> {
        let request = self.request(Method::POST, &["jobs"], Some(CALL_WITHIN));
        let request = request.json(&serde_json::json!({ "jobs": jobs }));
        self.answer(request).await?.json().map_err(ControllerError::Strange)
    }

    /// `GET /v1/jobs`: all of them. With the version of an earlier answer it is held for a while until there is another.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn jobs(&self, since: Option<u64>) -> Result<Shown, ControllerError> {
        let mut request = self.request(Method::GET, &["jobs"], Some(CALL_WITHIN));
        if let Some(since) = since {
            request = request.query(&[("since", since.to_string().as_str()), ("wait", "15s")]);
        }
        self.answer(request).await?.json().map_err(ControllerError::Strange)
    }

    /// `DELETE /v1/jobs/{name}`: it is to stop, or never to start.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn stop_job(&self, name: &JobName) -> Result<JobView, ControllerError> {
        let request = self.request(Method::DELETE, &["jobs", name.as_str()], Some(CALL_WITHIN));
        self.answer(request).await?.json().map_err(ControllerError::Strange)
    }

    /// `GET /v1/jobs/{name}/log`: from the first byte; live, until the job has ended, or what there is of it.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn job_log(&self, name: &JobName, log: LogStream, follow: bool) -> Result<Response, ControllerError> {
        let request = self.request(Method::GET, &["jobs", name.as_str(), "log"], None);
        let request = request.query(&[("log", log.as_str()), ("follow", if follow { "true" } else { "false" })]);
        let asked = tokio::time::timeout(OPENED_WITHIN, self.send(request)).await;
        asked.map_err(|_elapsed| ControllerError::NoAnswer(HttpError::Slow))?
    }

    /// `GET /v1/jobs/{name}/connect`: a connection to the port of a service. [`ControllerError::waiting`] while it is not
    /// ready.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn connect_job(&self, name: &JobName) -> Result<Upgraded, ControllerError> {
        self.tunnel(self.request(Method::GET, &["jobs", name.as_str(), "connect"], None)).await
    }

    /// `GET /v1/service`: the same at the service's own controller, with the service's secret as token.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn service(&self) -> Result<Upgraded, ControllerError> {
        self.tunnel(self.request(Method::GET, &["service"], None)).await
    }

    async fn tunnel(&self, request: RequestBuilder) -> Result<Upgraded, ControllerError> {
        let opened = async {
            let response = self.open(request.header("Connection", "Upgrade").header("Upgrade", TUNNEL)).await?;
            let broken = |error| ControllerError::NoAnswer(HttpError::no_answer(error));
            response.upgrade().await.map_err(broken)
        };
        let opened = tokio::time::timeout(CONNECTED_WITHIN, opened).await;
        opened.map_err(|_elapsed| ControllerError::NoAnswer(HttpError::Slow))?
    }
}
