//! Which rights the token has: Nomad does not tell, so each is tried in a way that changes nothing.

use std::collections::BTreeMap;

use reqwest::Method;
use serde::Deserialize;

use super::{Call, Dispatch, DispatchFailure, Nomad, NomadError, PageQuery};

/// A capability of Nomad's policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// `list-jobs`.
    ListJobs,
    /// `read-job`.
    ReadJob,
    /// `dispatch-job`.
    DispatchJob,
    /// `read-logs`.
    ReadLogs,
}

impl Right {
    /// As policies spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ListJobs => "list-jobs",
            Self::ReadJob => "read-job",
            Self::DispatchJob => "dispatch-job",
            Self::ReadLogs => "read-logs",
        }
    }
}

/// A job id has no spaces, so there is none that is called so.
const NOBODY: &str = "albatros asks for its rights";

#[derive(Deserialize)]
struct Placed {
    #[serde(rename = "ID", default)]
    id: String,
}

impl Nomad {
    /// The rights that are missing. `deregister-job` cannot be tried without stopping something; `read-logs` only
    /// once anything has run in the namespace.
    ///
    /// # Errors
    /// When Nomad does not answer.
    pub async fn missing_rights(&self) -> Result<Vec<Right>, NomadError> {
        let mut missing = Vec::new();
        let nothing = PageQuery { prefix: NOBODY, size: 1, ..PageQuery::default() };
        if denied(self.jobs(&nothing).await)? {
            missing.push(Right::ListJobs);
        }
        if denied(self.job(NOBODY).await)? {
            missing.push(Right::ReadJob);
        }
        let meta = BTreeMap::new();
        match self.dispatch(&Dispatch { job: NOBODY, token: "", meta: &meta, payload: None }).await {
            Err(DispatchFailure::Passing(error)) if error.is_denied() => missing.push(Right::DispatchJob),
            Err(DispatchFailure::Passing(error)) => return Err(error),
            Ok(_) | Err(DispatchFailure::Permanent(_)) => {}
        }
        if self.may_not_read_logs().await? {
            missing.push(Right::ReadLogs);
        }
        Ok(missing)
    }

    /// Whether the namespace exists; as a rule every token that may do anything in it may ask.
    ///
    /// # Errors
    /// When Nomad does not answer.
    pub async fn has_namespace(&self) -> Result<bool, NomadError> {
        let path = ["v1", "namespace", self.namespace.as_str()];
        match self.answer(Call::get("read a namespace", &path, &[])).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) if error.is_denied() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Any allocation will do: without the right, Nomad says so before it looks for the log.
    async fn may_not_read_logs(&self) -> Result<bool, NomadError> {
        let call = Call::get("list allocations", &["v1", "allocations"], &[("per_page", "1")]);
        let placed: Vec<Placed> = match self.json(call).await {
            Ok(placed) => placed,
            Err(error) if error.is_denied() => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(one) = placed.first() else {
            return Ok(false);
        };
        let path = ["v1", "client", "fs", "logs", one.id.as_str()];
        let query = [("task", "executor"), ("type", "stdout"), ("origin", "end"), ("offset", "1"), ("plain", "true")];
        let answer =
            self.call(Call { what: "read a log", method: Method::GET, path: &path, query: &query, body: None });
        let answer = answer.await?;
        let refusal = NomadError::Status { what: "read a log", status: answer.status, words: answer.words() };
        Ok(refusal.is_denied())
    }
}

fn denied<T>(result: Result<T, NomadError>) -> Result<bool, NomadError> {
    match result {
        Ok(_) => Ok(false),
        Err(error) if error.is_denied() => Ok(true),
        Err(error) => Err(error),
    }
}
