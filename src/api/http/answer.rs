//! What a service answered, read whole and bounded, and why there may be no answer.

use bytes::{Bytes, BytesMut};
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use serde::de::DeserializeOwned;

/// How much of a service's own words goes into a sentence.
const WORDS: usize = 300;

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// A path segment that a URL cannot carry.
    #[error("an empty segment, `.` or `..` cannot stand in an address")]
    Path,
    /// The connection never came up: nothing was sent.
    #[error("no connection")]
    Unsent(#[source] reqwest::Error),
    /// Sent, perhaps in part, and no answer came.
    #[error("no answer")]
    Silent(#[source] reqwest::Error),
    /// Sent, and nothing came in time.
    #[error("no answer in time")]
    Slow,
    /// The answer broke off.
    #[error("the answer was cut off")]
    Cut(#[source] reqwest::Error),
    /// The answer is larger than anything that was asked for.
    #[error("the answer is larger than {0} bytes")]
    TooLarge(usize),
    /// The answer is not what this service answers: a proxy's page, or half a document.
    #[error("the answer is not the JSON that was expected")]
    Json(#[source] serde_json::Error),
    /// A status that says no. The words are the service's own, shortened.
    #[error("status {status}: {words}")]
    Status {
        /// The status.
        status: StatusCode,
        /// What it said.
        words: String,
    },
}

impl HttpError {
    pub(in crate::api) fn no_answer(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() || error.is_builder() { Self::Unsent(error) } else { Self::Silent(error) }
    }

    /// Whether nothing can have reached the service, so that a write surely did not happen.
    #[must_use]
    pub fn surely_unsent(&self) -> bool {
        matches!(self, Self::Path | Self::Unsent(_))
    }

    /// Whether trying again later may help: all but a request that makes no sense, a missing right and the like.
    #[must_use]
    pub fn passing(&self) -> bool {
        match self {
            Self::Path => false,
            Self::Unsent(_) | Self::Silent(_) | Self::Slow | Self::Cut(_) | Self::TooLarge(_) | Self::Json(_) => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
                    || status.is_redirection()
            }
        }
    }

    /// The status, where there was one.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Path
            | Self::Unsent(_)
            | Self::Silent(_)
            | Self::Slow
            | Self::Cut(_)
            | Self::TooLarge(_)
            | Self::Json(_) => None,
        }
    }
}

/// A whole answer of any status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Reads a body of at most `cap` bytes.
    ///
    /// # Errors
    /// When it is longer or breaks off.
    pub async fn read(mut response: Response, cap: usize) -> Result<Self, HttpError> {
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(|error| HttpError::Cut(error.without_url()))? {
            if body.len() + piece.len() > cap {
                return Err(HttpError::TooLarge(cap));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Self { status: response.status(), headers: response.headers().clone(), body: body.freeze() })
    }

    /// The body as JSON, whatever the status.
    ///
    /// # Errors
    /// [`HttpError::Json`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(HttpError::Json)
    }

    /// Itself, if the status is one of success.
    ///
    /// # Errors
    /// [`HttpError::Status`].
    pub fn success(self) -> Result<Self, HttpError> {
        if self.status.is_success() {
            return Ok(self);
        }
        Err(HttpError::Status { status: self.status, words: self.words() })
    }

    /// What the body says, on one line and shortened; a page of HTML is only named.
    #[must_use]
    pub fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text = text.trim();
        if text.starts_with('<') {
            return "a page of HTML, not the service's own answer".to_owned();
        }
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().filter(|c| !c.is_control()).take(WORDS).collect()
    }

    /// A header that holds a number, such as `X-Consul-Index`.
    #[must_use]
    pub fn number(&self, header: &str) -> Option<u64> {
        self.headers.get(header)?.to_str().ok()?.parse().ok()
    }
}
