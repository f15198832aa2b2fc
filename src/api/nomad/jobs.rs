//! Dispatching a parameterized job, and listing what came of it.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};

use super::{Call, Nomad, NomadError, refusal};
use crate::domain::secret::Secret;

/// What is asked for.
#[derive(Debug)]
pub struct Dispatch<'a> {
    /// The parameterized job.
    pub job: &'a str,
    /// A second dispatch with the same one finds the first one's child.
    pub token: &'a str,
    /// The child's meta.
    pub meta: &'a BTreeMap<String, String>,
    /// The child's payload.
    pub payload: Option<&'a Secret>,
}

/// Why there is no child, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum DispatchFailure {
    /// It will never work as things stand; the sentence is for the person who pushed.
    #[error("{0}")]
    Permanent(String),
    /// There may be one or not: the same token finds out.
    #[error(transparent)]
    Passing(NomadError),
}

/// A child as a list has it. It has no token.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Stub {
    /// The job's id.
    #[serde(rename = "ID")]
    pub id: String,
    /// The job it is a child of.
    #[serde(rename = "ParentID")]
    pub parent_id: String,
    /// Nanoseconds since 1970.
    pub submit_time: i64,
    /// Whether something can be dispatched from it.
    #[serde(rename = "ParameterizedJob")]
    pub is_parameterized: bool,
}

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct PageQuery<'a> {
    /// Ids that begin so.
    pub prefix: &'a str,
    /// An expression over a job's fields; nothing from outside may stand in it unchecked.
    pub filter: Option<&'a str>,
    /// How many at most.
    pub size: usize,
    /// Where the last page said that the next one begins.
    pub next: Option<&'a str>,
}

/// One page of a list, the last id first.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Its entries.
    pub stubs: Vec<Stub>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
    /// The index of the last change of any job.
    pub index: Option<u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body<'a> {
    meta: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
}

#[derive(Deserialize)]
struct Dispatched {
    #[serde(rename = "DispatchedJobID")]
    id: String,
}

impl Nomad {
    /// Dispatches, and gives the child's id. In a race it may name a child that does not exist: read it before use.
    ///
    /// # Errors
    /// See [`DispatchFailure`]; which of the two it is follows from Nomad's text, its statuses are all 500.
    pub async fn dispatch(&self, dispatch: &Dispatch<'_>) -> Result<String, DispatchFailure> {
        let what = "dispatch a build";
        let payload = dispatch.payload.map(|payload| STANDARD.encode(payload.expose()));
        let body = serde_json::to_vec(&Body { meta: dispatch.meta, payload });
        let body =
            body.map_err(|error| DispatchFailure::Permanent(format!("the build cannot be written down: {error}")))?;
        let path = ["v1", "job", dispatch.job, "dispatch"];
        let query = [("idempotency_token", dispatch.token)];
        let call = Call { what, method: Method::POST, path: &path, query: &query, body: Some(body) };
        let answer = self.call(call).await.map_err(DispatchFailure::Passing)?;
        if answer.status == StatusCode::OK {
            let passing = |source| DispatchFailure::Passing(NomadError::Http { what, source });
            return answer.json::<Dispatched>().map(|child| child.id).map_err(passing);
        }
        let words = answer.words();
        match refusal::sentence(answer.status, &words, dispatch.job, &self.namespace) {
            Some(sentence) => Err(DispatchFailure::Permanent(sentence)),
            None => Err(DispatchFailure::Passing(NomadError::Status { what, status: answer.status, words })),
        }
    }

    /// Jobs, the last id first, which for children is about the newest first.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn jobs(&self, page: &PageQuery<'_>) -> Result<Page, NomadError> {
        let what = "list jobs";
        let size = page.size.to_string();
        let mut query = vec![("prefix", page.prefix), ("reverse", "true"), ("per_page", size.as_str())];
        query.extend(page.filter.map(|filter| ("filter", filter)));
        query.extend(page.next.map(|next| ("next_token", next)));
        let answer = self.answer(Call::get(what, &["v1", "jobs"], &query)).await?;
        let next = answer.headers.get("x-nomad-nexttoken").and_then(|value| value.to_str().ok());
        let next = next.filter(|next| !next.is_empty()).map(str::to_owned);
        let index = answer.number("x-nomad-index");
        let stubs = answer.json().map_err(|source| NomadError::Http { what, source })?;
        Ok(Page { stubs, next, index })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_recorded_page_is_read() {
        let page: Value = serde_json::from_str(include_str!("../../../tests/fixture/nomad/list/page-1.json")).unwrap();
        let stubs: Vec<Stub> = serde_json::from_value(page["body"].clone()).unwrap();
        assert_eq!(stubs.len(), 3);
        assert_eq!(stubs[0].parent_id, "fx-list");
        assert!(stubs[0].submit_time > 0);
    }

    #[test]
    fn a_payload_is_sent_as_base64_and_left_out_where_there_is_none() {
        let meta = BTreeMap::from([("BRANCH".to_owned(), "main".to_owned())]);
        let body = |payload| serde_json::to_string(&Body { meta: &meta, payload }).unwrap();
        assert_eq!(body(Some(STANDARD.encode("A=b\n"))), r#"{"Meta":{"BRANCH":"main"},"Payload":"QT1iCg=="}"#);
        assert_eq!(body(None), r#"{"Meta":{"BRANCH":"main"}}"#);
    }
}
