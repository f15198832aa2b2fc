//! Nomad's HTTP API, as far as builds need it: one namespace, bounded calls, streams that are read piece by piece.
//!
//! No crate has namespaces on dispatch, idempotency tokens and framed log streams together, hence this one.
//! <https://developer.hashicorp.com/nomad/api-docs>

mod builders;
mod error;
mod events;
mod frames;
mod identity;
mod jobs;
mod lines;
mod probe;
mod refusal;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::http::{Answer, Endpoint, EndpointConfig, EndpointError, HttpError};
use super::meter::Meter;
use crate::domain::nomad::{Allocation, Evaluation, Job};

pub use builders::{Listed, Parsed, Planned, Registered, Validated};
pub use error::NomadError;
pub use events::{EventBatch, EventStream};
pub use frames::{Frame, FrameError, Frames};
pub use jobs::{Dispatch, DispatchFailure, Page, PageQuery, Stub};
pub use probe::Right;

/// How long a short call may take, all in all.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// Short calls at a time. An agent takes 100 connections of one address: log streams take up to 60 of them, and those
/// that are kept open for the next call count as well.
const CALLS: usize = 20;

/// The largest answer to a short call: a list of many allocations with all their events.
const ANSWER_LIMIT: usize = 64 << 20;

/// A Nomad cluster and the namespace that builds are in. Cheap to clone; clones share connections and the bound.
#[derive(Debug, Clone)]
pub struct Nomad {
    endpoint: Endpoint,
    namespace: String,
    calls: Arc<Semaphore>,
}

/// One short call.
struct Call<'a> {
    /// What is attempted, to stand behind "could not".
    what: &'static str,
    method: Method,
    path: &'a [&'a str],
    query: &'a [(&'a str, &'a str)],
    body: Option<Vec<u8>>,
}

impl<'a> Call<'a> {
    fn get(what: &'static str, path: &'a [&'a str], query: &'a [(&'a str, &'a str)]) -> Self {
        Self { what, method: Method::GET, path, query, body: None }
    }
}

impl Nomad {
    /// A client for builds in `namespace`.
    ///
    /// # Errors
    /// When a file that the settings name cannot be used.
    pub fn new(config: EndpointConfig, namespace: String) -> Result<Self, EndpointError> {
        Ok(Self { endpoint: Endpoint::new(config)?, namespace, calls: Arc::new(Semaphore::new(CALLS)) })
    }

    /// The same, measured by `meter`.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { endpoint: self.endpoint.metered(meter), ..self }
    }

    /// The namespace that builds are in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// A job; none when there is no such job.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn job(&self, id: &str) -> Result<Option<Job>, NomadError> {
        match self.json(Call::get("read a job", &["v1", "job", id], &[])).await {
            Ok(job) => Ok(Some(job)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All allocations of a job, those of earlier versions too; none where there is no such job.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn allocations(&self, job: &str) -> Result<Vec<Allocation>, NomadError> {
        self.json(Call::get("list allocations", &["v1", "job", job, "allocations"], &[("all", "true")])).await
    }

    /// All evaluations of a job; none where there is no such job.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn evaluations(&self, job: &str) -> Result<Vec<Evaluation>, NomadError> {
        self.json(Call::get("list evaluations", &["v1", "job", job, "evaluations"], &[])).await
    }

    /// Stops a job and keeps it in Nomad's memory, so that its idempotency token stays known. One that is stopped,
    /// or was never there, is no error.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn deregister(&self, job: &str) -> Result<(), NomadError> {
        let path = ["v1", "job", job];
        let call = Call { method: Method::DELETE, ..Call::get("stop a job", &path, &[]) };
        match self.answer(call).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_missing() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// One stream of a task's log, from its first byte that still exists. With `follow` it has no end of its own.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses: 404 before the task has started and after its log was removed.
    pub async fn log(&self, allocation: &str, task: &str, stream: &str, follow: bool) -> Result<Frames, NomadError> {
        let follow = if follow { "true" } else { "false" };
        let query = [("task", task), ("type", stream), ("follow", follow), ("origin", "start"), ("offset", "0")];
        let path = ["v1", "client", "fs", "logs", allocation];
        Ok(Frames::new(self.open(Call::get("read a log", &path, &query)).await?))
    }

    async fn json<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, NomadError> {
        let what = call.what;
        let answer = self.answer(call).await?;
        answer.json().map_err(|source| NomadError::Http { what, source })
    }

    /// A short call that succeeded.
    async fn answer(&self, call: Call<'_>) -> Result<Answer, NomadError> {
        let what = call.what;
        let answer = self.call(call).await?;
        if answer.status == StatusCode::OK {
            return Ok(answer);
        }
        Err(NomadError::Status { what, status: answer.status, words: answer.words() })
    }

    /// A short call, whatever comes of it.
    async fn call(&self, call: Call<'_>) -> Result<Answer, NomadError> {
        let what = call.what;
        // The semaphore is never closed; without a permit the call would only be one more than meant.
        let _permit = self.calls.acquire().await.ok();
        let request = self.request(call, Some(CALL_LIMIT))?;
        self.endpoint.call(what, request, ANSWER_LIMIT).await.map_err(|source| NomadError::Http { what, source })
    }

    /// A stream that was opened.
    async fn open(&self, call: Call<'_>) -> Result<Response, NomadError> {
        let what = call.what;
        let request = self.request(call, None)?;
        let response = match self.endpoint.open(what, request, CALL_LIMIT).await {
            Ok(response) => response,
            Err(HttpError::Slow) => return Err(NomadError::Slow { what }),
            Err(source) => return Err(NomadError::Http { what, source }),
        };
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(response);
        }
        let refused = timeout(CALL_LIMIT, Answer::read(response, ANSWER_LIMIT)).await;
        let words = match refused {
            Ok(Ok(answer)) => answer.words(),
            Ok(Err(_)) | Err(_) => String::new(),
        };
        Err(NomadError::Status { what, status, words })
    }

    fn request(&self, call: Call<'_>, limit: Option<Duration>) -> Result<reqwest::RequestBuilder, NomadError> {
        let what = call.what;
        let request = self.endpoint.request(call.method, call.path, limit);
        let request = request.map_err(|source| NomadError::Http { what, source })?;
        let request = request.query(&[("namespace", self.namespace.as_str())]).query(call.query);
        Ok(match call.body {
            Some(body) => request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body),
            None => request,
        })
    }
}
