//! What registering and checking a builder asks of Nomad: parse, validate, plan, register, list; policies.

use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Call, Nomad, NomadError};
use crate::domain::builder_check::{Cluster, Policy};

/// The longest text of a refusal that is shown.
const REFUSAL: usize = 16 << 10;
/// Jobs that are listed at most; a page of Nomad's has so many.
const JOBS: &str = "1000";

/// Who asks, on a cluster without ACLs.
const NO_ACLS: &str = "acls-disabled";

/// What came of a text that Nomad was to read.
#[derive(Debug)]
pub enum Parsed {
    /// The job, as it was written: nothing is filled in.
    Job(Value),
    /// Nomad's words, of several lines.
    Refused(String),
}

/// What Nomad thinks of a job.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Validated {
    /// Why it would refuse it, of several lines; empty if it would not.
    pub error: String,
    /// What it does not like, of several lines.
    pub warnings: String,
}

/// What registering a job would change.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Planned {
    /// Nomad's tree of differences.
    pub diff: Value,
    /// The index that the job has now; 0 where there is none.
    pub job_modify_index: u64,
}

/// What came of a registration.
#[derive(Debug)]
pub enum Registered {
    /// It is in.
    Done,
    /// Nomad's words, of several lines.
    Refused(String),
}

/// A job as a list has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Listed {
    /// The job's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// It can be dispatched from.
    pub parameterized_job: bool,
    /// Deregistered.
    pub stop: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Text<'a> {
    #[serde(rename = "JobHCL")]
    hcl: &'a str,
    variables: &'a str,
    canonicalize: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    job: &'a Value,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    diff: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    enforce_index: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_modify_index: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Token {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "AccessorID", default)]
    accessor: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BoundPolicy {
    name: String,
    #[serde(rename = "JobACL", default)]
    job_acl: Option<JobAcl>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct JobAcl {
    namespace: String,
    #[serde(rename = "JobID")]
    job: String,
    group: String,
    task: String,
}

impl Nomad {
    /// Reads a job file. `variables` are `name = value` lines.
    ///
    /// # Errors
    /// When Nomad does not answer, or the right `parse-job` is missing.
    pub async fn parse(&self, hcl: &str, variables: &str) -> Result<Parsed, NomadError> {
        let what = "have a job file read";
        let body = write(&Text { hcl, variables, canonicalize: false }, what)?;
        let call = Call { method: Method::POST, body: Some(body), ..Call::get(what, &["v1", "jobs", "parse"], &[]) };
        let answer = self.call(call).await?;
        match answer.status {
            StatusCode::OK => answer.json().map(Parsed::Job).map_err(|source| NomadError::Http { what, source }),
            StatusCode::BAD_REQUEST => Ok(Parsed::Refused(lines(&answer.body))),
            status => Err(NomadError::Status { what, status, words: answer.words() }),
        }
    }

    /// Has a job looked at, its drivers' configuration included.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn validate(&self, job: &Value) -> Result<Validated, NomadError> {
        let what = "have a job validated";
        let body = write(&Body { job, diff: false, enforce_index: None, job_modify_index: None }, what)?;
        let path = ["v1", "validate", "job"];
        self.json(Call { method: Method::POST, body: Some(body), ..Call::get(what, &path, &[]) }).await
    }

    /// What registering it would change.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn plan(&self, id: &str, job: &Value) -> Result<Planned, NomadError> {
        let what = "plan a job";
        let body = write(&Body { job, diff: true, enforce_index: None, job_modify_index: None }, what)?;
        let path = ["v1", "job", id, "plan"];
        self.json(Call { method: Method::POST, body: Some(body), ..Call::get(what, &path, &[]) }).await
    }

    /// Registers a job, if it is still at this index; 0 where there is to be none yet.
    ///
    /// # Errors
    /// When Nomad does not answer, or a right is missing.
    pub async fn register(&self, job: &Value, index: u64) -> Result<Registered, NomadError> {
        let what = "register a job";
        let body = Body { job, diff: false, enforce_index: Some(true), job_modify_index: Some(index) };
        let body = write(&body, what)?;
        let path = ["v1", "jobs"];
        let answer = self.call(Call { method: Method::POST, body: Some(body), ..Call::get(what, &path, &[]) }).await?;
        let refusal = NomadError::Status { what, status: answer.status, words: answer.words() };
        match answer.status {
            StatusCode::OK => Ok(Registered::Done),
            StatusCode::INTERNAL_SERVER_ERROR | StatusCode::BAD_REQUEST if !refusal.is_denied() => {
                Ok(Registered::Refused(lines(&answer.body)))
            }
            _ => Err(refusal),
        }
    }

    /// Makes this client's namespace unless it is there; whether it was made.
    ///
    /// # Errors
    /// When Nomad does not answer, or the token may not make namespaces.
    pub async fn make_namespace(&self) -> Result<bool, NomadError> {
        let (name, what) = (self.namespace(), "make the namespace");
        let path = ["v1", "namespace", name];
        match self.json::<serde::de::IgnoredAny>(Call::get("read the namespace", &path, &[])).await {
            Ok(_) => return Ok(false),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
        let body = write(&serde_json::json!({"Name": name, "Description": "builds of Albatros"}), what)?;
        let answer = self.call(Call { method: Method::PUT, body: Some(body), ..Call::get(what, &path, &[]) }).await?;
        match answer.status {
            StatusCode::OK => Ok(true),
            status => Err(NomadError::Status { what, status, words: answer.words() }),
        }
    }

    /// A job in all its parts; none when there is no such job.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn whole_job(&self, id: &str) -> Result<Option<Value>, NomadError> {
        match self.json(Call::get("read a job", &["v1", "job", id], &[])).await {
            Ok(job) => Ok(Some(job)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All jobs that are not children of others, at most 1,000.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn parents(&self) -> Result<Vec<Listed>, NomadError> {
        let query = [("filter", "Dispatched == false"), ("per_page", JOBS)];
        self.json(Call::get("list jobs", &["v1", "jobs"], &query)).await
    }

    /// What is known of the cluster that matters to the builder `job`.
    ///
    /// # Errors
    /// When Nomad does not answer.
    pub async fn cluster(&self, job: &str) -> Result<Cluster, NomadError> {
        let answer = self.call(Call::get("ask for the token", &["v1", "acl", "token", "self"], &[])).await?;
        let token = answer.json::<Token>().ok();
        // Nomad 2 has a token for those who need none; older ones say that they have no ACLs.
        let none = token.as_ref().is_some_and(|token| token.accessor == NO_ACLS);
        if none || (answer.status == StatusCode::BAD_REQUEST && answer.words().contains("ACL support disabled")) {
            return Ok(Cluster { acl: Some(false), policies: None });
        }
        let manages = token.is_some_and(|token| token.kind == "management");
        // Other tokens are shown their own policies only.
        if answer.status != StatusCode::OK || !manages {
            return Ok(Cluster { acl: Some(true), policies: None });
        }
        let all: Vec<BoundPolicy> = self.json(Call::get("list policies", &["v1", "acl", "policies"], &[])).await?;
        let bound = all.into_iter().filter_map(|policy| Some((policy.name, policy.job_acl?)));
        let ours = bound.filter(|(_, to)| to.namespace == self.namespace() && to.job == job);
        let policies = ours.map(|(name, to)| Policy { name, group: to.group, task: to.task }).collect();
        Ok(Cluster { acl: Some(true), policies: Some(policies) })
    }
}

fn write(body: &impl Serialize, what: &'static str) -> Result<Vec<u8>, NomadError> {
    serde_json::to_vec(body).map_err(|error| NomadError::Status {
        what,
        status: StatusCode::BAD_REQUEST,
        words: format!("it cannot be written down: {error}"),
    })
}

/// Nomad's words with their lines, and no more of them than anybody reads.
fn lines(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().filter(|c| *c == '\n' || !c.is_control()).take(REFUSAL).collect()
}
