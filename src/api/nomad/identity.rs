//! What tells who a workload is: Nomad's public keys, and the allocation that a token names.

use reqwest::StatusCode;

use super::{CALL_LIMIT, Call, Nomad, NomadError};
use crate::api::http::HttpError;
use crate::domain::identity::Keys;
use crate::domain::nomad::Allocation;

/// The largest key set: a key has half a kilobyte, and a cluster rotates one a month.
const KEYS_LIMIT: usize = 1 << 20;
/// Allocation ids are UUIDs; of anything else Nomad says 500.
const ID_LENGTH: usize = 36;

impl Nomad {
    /// The public keys that workload identities are signed with.
    ///
    /// # Errors
    /// When Nomad does not answer, or has none.
    pub async fn signing_keys(&self) -> Result<Keys, NomadError> {
        let what = "read the keys of workload identities";
        let failed = |source| NomadError::Http { what, source };
        let call = Call::get(what, &[".well-known", "jwks.json"], &[]);
        // As for all short calls; the semaphore is never closed.
        let _permit = self.calls.acquire().await.ok();
        let request = self.request(call, Some(CALL_LIMIT))?;
        let answer = self.endpoint.call(what, request, KEYS_LIMIT).await.map_err(failed)?;
        if answer.status != StatusCode::OK {
            return Err(NomadError::Status { what, status: answer.status, words: answer.words() });
        }
        Keys::parse(&answer.body).map_err(|error| failed(HttpError::Json(error)))
    }

    /// One allocation, of whatever job and namespace; none when there is no such allocation. Without the right to read
    /// jobs Nomad answers 500.
    ///
    /// # Errors
    /// When Nomad does not answer, or refuses.
    pub async fn allocation(&self, id: &str) -> Result<Option<Allocation>, NomadError> {
        let fits = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !fits {
            return Ok(None);
        }
        match self.json(Call::get("read an allocation", &["v1", "allocation", id], &[])).await {
            Ok(allocation) => Ok(Some(allocation)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_recorded_allocation_is_read_with_its_job_in_it() {
        let text = include_str!("../../../tests/fixture/nomad/alloc/full-with-job.json");
        let exchange: Value = serde_json::from_str(text).unwrap();
        let read: Allocation = serde_json::from_value(exchange["body"].clone()).unwrap();
        assert_eq!(read.id.len(), ID_LENGTH);
        assert_eq!((read.namespace.as_str(), read.desired_status.as_str()), ("ci", "run"));
        assert_eq!(Value::from(read.job_id), exchange["body"]["Job"]["ID"]);
        assert!(!read.task_group.is_empty() && !read.client_status.is_empty());
    }
}
