//! Keys and values.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;

use super::{Consul, ConsulError, MANY, ONE, Op, Outcome, VALUE_LIMIT};
use crate::api::http::{Answer, HttpError};

/// The names of 70,000 keys are some 6 MB.
const NAMES: Duration = Duration::from_secs(15);

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// As the leader knows it; in rare elections a moment old.
    Default,
    /// The leader asks the others first: what was written is seen.
    Consistent,
}

/// A key with what is under it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The whole key.
    pub key: String,
    /// The value, decoded.
    pub value: Bytes,
    /// Free for users.
    pub flags: u64,
    /// The session that holds it as a lock.
    pub session: Option<String>,
    /// How often it was locked.
    pub lock_index: u64,
    /// Raft index of its creation.
    pub create_index: u64,
    /// Raft index of its last change; what compare-and-set names.
    pub modify_index: u64,
}

/// A pair as Consul spells it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct RawPair {
    key: String,
    #[serde(default)]
    value: Option<String>,
    #[serde(default)]
    flags: u64,
    #[serde(default)]
    session: Option<String>,
    #[serde(default)]
    lock_index: u64,
    #[serde(default)]
    create_index: u64,
    #[serde(default)]
    modify_index: u64,
}

impl RawPair {
    pub(super) fn decode(self) -> Result<Pair, ConsulError> {
        let value = BASE64_STANDARD
            .decode(self.value.unwrap_or_default())
            .map_err(|_| ConsulError::Refused(format!("the value of {} is not base64", self.key)))?;
        Ok(Pair {
            key: self.key,
            value: Bytes::from(value),
            flags: self.flags,
            session: self.session.filter(|it| !it.is_empty()),
            lock_index: self.lock_index,
            create_index: self.create_index,
            modify_index: self.modify_index,
        })
    }
}

/// The index to wait on next. An index that went back means that Consul was restored: begin anew. 0 would not wait at
/// all, so an answer that names it counts as 1.
#[must_use]
pub fn next_index(last: u64, answered: u64) -> u64 {
    if answered < last { 0 } else { answered.max(1) }
}

/// Whether a URL can name this key.
fn addressable(key: &str) -> bool {
    !key.split('/').any(|part| matches!(part, "" | "." | ".."))
}

fn decode(answer: &Answer) -> Result<Vec<Pair>, ConsulError> {
    answer.json::<Vec<RawPair>>()?.into_iter().map(RawPair::decode).collect()
}

impl Consul {
    /// What is under a key.
    ///
    /// # Errors
    /// See [`ConsulError`].
    pub async fn get(&self, key: &str, how: Consistency) -> Result<Option<Pair>, ConsulError> {
        if !addressable(key) {
            return self.get_by_transaction(key).await;
        }
        let request = consistency(self.at_key(Method::GET, key)?, how);
        let answer = self.call("read a value", request, ONE).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return absent(&answer).map(|()| None);
        }
        Ok(decode(&answer.success()?)?.into_iter().next())
    }

    /// A key that no URL can name, by way of the keys that begin with it.
    async fn get_by_transaction(&self, key: &str) -> Result<Option<Pair>, ConsulError> {
        match self.transaction(&[Op::GetTree { prefix: key }]).await? {
            Outcome::Done(pairs) => Ok(pairs.into_iter().find(|pair| pair.key == key)),
            Outcome::Failed(_) => Ok(None),
        }
    }

    /// Everything under a prefix (which ends in `/`), and the index of this state. With `since` the answer waits until
    /// something is newer than that index, or for about `wait`.
    ///
    /// # Errors
    /// See [`ConsulError`].
    pub async fn list(
        &self,
        prefix: &str,
        since: Option<(u64, Duration)>,
        how: Consistency,
    ) -> Result<(u64, Vec<Pair>), ConsulError> {
        let mut request = consistency(self.at_key(Method::GET, prefix)?, how).query(&[("recurse", "true")]);
        let last = since.map_or(0, |(index, _)| index);
        let answer = match since {
            Some((index, wait)) if index > 0 => {
                let wait_ms = format!("{}ms", wait.as_millis());
                // Consul adds up to a sixteenth by itself.
                let limit = wait + wait / 16 + Duration::from_secs(10);
                request = request.query(&[("index", index.to_string()), ("wait", wait_ms)]).timeout(limit);
                self.endpoint.wait("wait for a change", request, MANY).await?
            }
            Some(_) | None => self.call("list values", request.timeout(Duration::from_secs(30)), MANY).await?,
        };
        let index = next_index(last, answer.number("x-consul-index").unwrap_or_default());
        if answer.status == StatusCode::NOT_FOUND {
            return absent(&answer).map(|()| (index, Vec::new()));
        }
        Ok((index, decode(&answer.success()?)?))
    }

    /// The names of the keys under a prefix (which ends in `/`), and the index of this state.
    ///
    /// # Errors
    /// See [`ConsulError`].
    pub async fn keys(&self, prefix: &str) -> Result<(u64, Vec<String>), ConsulError> {
        self.named(prefix, &[("keys", "true")]).await
    }

    /// The index of the newest change beneath a folder (named without its final `/`): of all its keys, those that are
    /// gone included. The answer is a line, however many they are.
    ///
    /// # Errors
    /// See [`ConsulError`].
    pub async fn folder_index(&self, folder: &str) -> Result<u64, ConsulError> {
        Ok(self.named(folder, &[("keys", "true"), ("separator", "/")]).await?.0)
    }

    async fn named(&self, prefix: &str, query: &[(&str, &str)]) -> Result<(u64, Vec<String>), ConsulError> {
        let request = consistency(self.at_key(Method::GET, prefix)?.query(query), Consistency::Consistent);
        let answer = self.call("list keys", request.timeout(NAMES), MANY).await?;
        let index = next_index(0, answer.number("x-consul-index").unwrap_or_default());
        if answer.status == StatusCode::NOT_FOUND {
            return absent(&answer).map(|()| (index, Vec::new()));
        }
        Ok((index, answer.success()?.json()?))
    }

    /// Writes a value; with `cas` only if the key is at that index (0: only if there is none). False: it was not.
    ///
    /// # Errors
    /// See [`ConsulError`]; [`ConsulError::surely_undone`] says whether it may have been written all the same.
    pub async fn put(&self, key: &str, value: Bytes, cas: Option<u64>, flags: u64) -> Result<bool, ConsulError> {
        let mut request = self.at_key(Method::PUT, key)?;
        if let Some(index) = cas {
            request = request.query(&[("cas", index)]);
        }
        if flags != 0 {
            request = request.query(&[("flags", flags)]);
        }
        self.write("write a value", request, value).await
    }

    /// Removes a key; with `cas` only if it is at that index. Removing what is not there succeeds.
    ///
    /// # Errors
    /// As [`Consul::put`].
    pub async fn delete(&self, key: &str, cas: Option<u64>) -> Result<bool, ConsulError> {
        let mut request = self.at_key(Method::DELETE, key)?;
        if let Some(index) = cas {
            request = request.query(&[("cas", index)]);
        }
        Ok(self.call("remove a value", request, ONE).await?.success()?.json()?)
    }

    /// Locks a key for a session. False: another one holds it.
    ///
    /// # Errors
    /// As [`Consul::put`]; a session that is gone is an error too.
    pub async fn acquire(&self, key: &str, session: &str, value: Bytes) -> Result<bool, ConsulError> {
        let request = self.at_key(Method::PUT, key)?.query(&[("acquire", session)]);
        self.write("take a lock", request, value).await
    }

    /// Unlocks a key. False: the session did not hold it.
    ///
    /// # Errors
    /// As [`Consul::put`].
    pub async fn release(&self, key: &str, session: &str, value: Bytes) -> Result<bool, ConsulError> {
        let request = self.at_key(Method::PUT, key)?.query(&[("release", session)]);
        self.write("give a lock back", request, value).await
    }

    async fn write(&self, what: &'static str, request: RequestBuilder, value: Bytes) -> Result<bool, ConsulError> {
        if value.len() > VALUE_LIMIT {
            return Err(ConsulError::TooLarge(value.len()));
        }
        Ok(self.call(what, request.body(value), ONE).await?.success()?.json()?)
    }

    /// A request for a key, or for a prefix where it ends in `/`.
    fn at_key(&self, method: Method, key: &str) -> Result<RequestBuilder, ConsulError> {
        let (stem, end) = match key.strip_suffix('/') {
            Some(stem) => (stem, "/"),
            None => (key, ""),
        };
        if !addressable(stem) {
            return Err(ConsulError::Http(HttpError::Path));
        }
        // The final slash of a prefix is encoded with the last segment: to Consul it is the same key.
        let (folders, name) = stem.rsplit_once('/').map_or((None, stem), |(folders, name)| (Some(folders), name));
        let last = format!("{name}{end}");
        let mut path = vec!["v1", "kv"];
        path.extend(folders.into_iter().flat_map(|it| it.split('/')));
        path.push(&last);
        self.request(method, &path)
    }
}

fn consistency(request: RequestBuilder, how: Consistency) -> RequestBuilder {
    match how {
        Consistency::Default => request,
        Consistency::Consistent => request.query(&[("consistent", "true")]),
    }
}

/// A missing key is 404 with an empty body and an index; any other 404 comes from something else, such as a proxy.
fn absent(answer: &Answer) -> Result<(), ConsulError> {
    if answer.body.is_empty() && answer.headers.contains_key("x-consul-index") {
        return Ok(());
    }
    Err(ConsulError::Http(HttpError::Status { status: StatusCode::BAD_GATEWAY, words: answer.words() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_goes_back_begins_anew_and_none_is_zero_by_itself() {
        assert_eq!(next_index(0, 0), 1);
        assert_eq!(next_index(0, 7), 7);
        assert_eq!(next_index(7, 7), 7);
        assert_eq!(next_index(7, 8), 8);
        assert_eq!(next_index(7, 3), 0);
    }

    #[test]
    fn keys_that_consul_would_redirect_are_never_put_into_an_address() {
        for key in ["a//b", "/a", "a/../b", "a/./b", "", "a/"] {
            assert!(!addressable(key), "{key}");
        }
        assert!(addressable("albatros/aHR0cHM6+/x=="));
    }
}
