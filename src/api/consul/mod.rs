//! Consul's KV, sessions and transactions: the few calls we use.
//!
//! Keys are addressed by their segments, each percent-encoded: Consul takes `%2F`, `+` and `=` as they are meant, but
//! answers `//`, `..` and a leading slash with a redirect to another key, which a PUT must never follow. Such keys (a
//! base64 text can hold `//`) are read by transaction instead.

mod kv;
mod session;
mod txn;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, RequestBuilder, StatusCode};
use tokio::sync::Semaphore;

use super::http::{Answer, Endpoint, EndpointConfig, EndpointError, HttpError};
use super::meter::Meter;

pub use kv::{Consistency, Pair, next_index};
pub use session::{Right, Session};
pub use txn::{Failure, Op, Outcome};

/// The whole of a call that does not wait for changes. Forges give up after 5 s, and a hook makes a few of these.
const CALL: Duration = Duration::from_secs(2);
/// Consul's agents take 200 connections from one address; the rest is left to long polls and to other programs.
const CALLS_AT_ONCE: usize = 64;
/// A single value is at most 512 KiB, in base64 and JSON.
const ONE: usize = 2 * 1024 * 1024;
/// Listings: a week of ended builds at 10,000 a day is about 60 MB.
const MANY: usize = 256 * 1024 * 1024;
/// Consul's limit for one value.
pub const VALUE_LIMIT: usize = 512 * 1024;

/// Why Consul did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ConsulError {
    /// No usable answer, or one that may be another next time.
    #[error("Consul did not answer")]
    Http(#[source] HttpError),
    /// The token lacks a right, or is none of Consul's.
    #[error("Consul denies access: {0}")]
    Denied(String),
    /// The request makes no sense to Consul.
    #[error("Consul refuses: {0}")]
    Refused(String),
    /// More than Consul keeps under one key.
    #[error("{0} bytes are more than the 512 KiB that Consul keeps under one key")]
    TooLarge(usize),
}

impl ConsulError {
    /// Whether a write surely did not happen; after any other error it may have.
    #[must_use]
    pub fn surely_undone(&self) -> bool {
        match self {
            Self::Http(error) => error.surely_unsent(),
            Self::Denied(_) | Self::Refused(_) | Self::TooLarge(_) => true,
        }
    }

    /// Sorts a status that says no.
    fn from_status(status: StatusCode, words: String) -> Self {
        let passing = HttpError::Status { status, words: words.clone() };
        match status {
            StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => Self::Denied(words),
            StatusCode::PAYLOAD_TOO_LARGE => Self::Refused(words),
            _ if passing.passing() => Self::Http(passing),
            _ => Self::Refused(words),
        }
    }
}

impl From<HttpError> for ConsulError {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Status { status, words } => Self::from_status(status, words),
            other => Self::Http(other),
        }
    }
}

/// A Consul agent or server. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Consul {
    endpoint: Arc<Endpoint>,
    calls: Arc<Semaphore>,
}

impl Consul {
    /// Reads the files that the settings name; nothing is sent.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn new(config: EndpointConfig) -> Result<Self, EndpointError> {
        Ok(Self { endpoint: Arc::new(Endpoint::new(config)?), calls: Arc::new(Semaphore::new(CALLS_AT_ONCE)) })
    }

    /// The same, measured by `meter`.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { endpoint: Arc::new(Endpoint::clone(&self.endpoint).metered(meter)), ..self }
    }

    /// A short call; waits for its turn when many are under way.
    async fn call(&self, what: &'static str, request: RequestBuilder, cap: usize) -> Result<Answer, ConsulError> {
        // The semaphore is never closed; without a permit the call is merely not counted.
        let _turn = self.calls.acquire().await;
        Ok(self.endpoint.call(what, request, cap).await?)
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, ConsulError> {
        Ok(self.endpoint.request(method, path, Some(CALL))?)
    }
}
