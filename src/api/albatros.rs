//! Albatros's own HTTP surface, as the client verbs use it.

use std::path::Path;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::http::{EndpointError, forge_client};
use crate::domain::label;
use crate::domain::problem::{self, Problem};
use crate::domain::secret::Secret;

/// <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// A short call; logs have no limit.
const CALL_WITHIN: Duration = Duration::from_secs(30);
/// An answer that is read whole.
const ANSWER_MOST: usize = 16 << 20;
/// The longest sentence that is shown of a refusal that is none of ours, characters.
const SENTENCE: usize = 500;

/// Why the server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AlbatrosError {
    /// There can be no client.
    #[error("no connection can be made")]
    Client(#[from] EndpointError),
    /// No answer.
    #[error("the server at {address} does not answer")]
    Unreachable {
        /// Its address, without credentials.
        address: String,
        /// The cause.
        #[source]
        source: reqwest::Error,
    },
    /// It said no; the sentence is its own.
    #[error("{sentence}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// What it said.
        sentence: String,
    },
    /// It said something that is no answer of Albatros.
    #[error("the answer is not one of Albatros: {0}")]
    Strange(String),
}

/// A server, as seen from outside.
#[derive(Debug)]
pub struct Albatros {
    base: Url,
    token: Option<Secret>,
    client: Client,
}

impl Albatros {
    /// A client of the server at `base`, which may be certified by the authority in the file `ca`.
    ///
    /// # Errors
    /// When `ca` cannot be read, or no HTTP client can be made.
    pub fn new(base: Url, token: Option<Secret>, ca: Option<&Path>) -> Result<Self, AlbatrosError> {
        Ok(Self { base, token, client: forge_client(ca)? })
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let request = self.client.request(method, url).header("Accept", "application/json");
        match &self.token {
            Some(token) => request.bearer_auth(token.expose()),
            None => request,
        }
    }

    /// `POST /hook`, as a forge would; the answer names the build, or the claim it waits under.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn deliver(&self, headers: &[(String, String)], body: Vec<u8>) -> Result<Value, AlbatrosError> {
        let request = self.request(Method::POST, &["hook"]).body(body);
        self.object(headers.iter().fold(request, |request, (name, value)| request.header(name, value))).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, AlbatrosError> {
        let response = self.open(request).await?;
        self.success(response).await
    }

    async fn open(&self, request: RequestBuilder) -> Result<Response, AlbatrosError> {
        let unreachable = |source: reqwest::Error| AlbatrosError::Unreachable {
            address: self.base.origin().ascii_serialization(),
            source: source.without_url(),
        };
        request.send().await.map_err(unreachable)
    }

    async fn success(&self, response: Response) -> Result<Response, AlbatrosError> {
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_problem = kind.starts_with(problem::CONTENT_TYPE);
        let body = read(response).await?;
        let text = match is_problem {
            true => Problem::of(status.as_u16(), &body).detail,
            // An older server, or a proxy before it.
            false => String::from_utf8_lossy(&body).trim().chars().take(SENTENCE).collect(),
        };
        let sentence = if text.is_empty() { format!("the server answered {status}") } else { text };
        Err(AlbatrosError::Refused { status, sentence })
    }

    async fn object(&self, request: RequestBuilder) -> Result<Value, AlbatrosError> {
        let body = read(self.send(request.timeout(CALL_WITHIN)).await?).await?;
        serde_json::from_slice(&body).map_err(|error| AlbatrosError::Strange(error.to_string()))
    }

    /// `POST /trigger`; the answer names the build, or the claim it waits under. With a `key` the same change is built
    /// once, however often this is asked.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn trigger(&self, wanted: &Value, key: Option<&str>) -> Result<Value, AlbatrosError> {
        let request = self.request(Method::POST, &["trigger"]).json(wanted);
        self.object(key.into_iter().fold(request, |request, key| request.header(IDEMPOTENCY_KEY, key))).await
    }

    /// `GET /builds` with a query.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn list(&self, query: &[(&str, String)]) -> Result<Vec<Value>, AlbatrosError> {
        match self.object(self.request(Method::GET, &["builds"]).query(query)).await? {
            Value::Array(builds) => Ok(builds),
            _ => Err(AlbatrosError::Strange("expected a list".to_owned())),
        }
    }

    /// `GET` of a build's or a claim's address.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn status(&self, path: &[&str]) -> Result<Value, AlbatrosError> {
        self.object(self.request(Method::GET, path)).await
    }

    /// `DELETE` of a build's or a claim's address.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn cancel(&self, path: &[&str]) -> Result<Value, AlbatrosError> {
        self.object(self.request(Method::DELETE, path)).await
    }

    /// `POST …/retry` of a build's or a claim's address.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn retry(&self, path: &[&str]) -> Result<Value, AlbatrosError> {
        let path: Vec<&str> = path.iter().copied().chain(["retry"]).collect();
        self.object(self.request(Method::POST, &path)).await
    }

    /// `POST /builds/claim/<claim>/approve`; with `always` its sender is approved too.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn approve(&self, claim: &str, always: bool) -> Result<Value, AlbatrosError> {
        let request = self.request(Method::POST, &["builds", "claim", claim, "approve"]);
        self.object(if always { request.query(&[("always", "true")]) } else { request }).await
    }

    /// `GET /held` with a query.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn held(&self, query: &[(&str, String)]) -> Result<Value, AlbatrosError> {
        self.object(self.request(Method::GET, &["held"]).query(query)).await
    }

    /// `GET /approved` with a query.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn approved(&self, query: &[(&str, String)]) -> Result<Vec<Value>, AlbatrosError> {
        match self.object(self.request(Method::GET, &["approved"]).query(query)).await? {
            Value::Array(senders) => Ok(senders),
            _ => Err(AlbatrosError::Strange("expected a list".to_owned())),
        }
    }

    /// `PUT /approved`
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn approve_sender(&self, named: &Value) -> Result<Value, AlbatrosError> {
        self.object(self.request(Method::PUT, &["approved"]).json(named)).await
    }

    /// `DELETE /approved` with a query.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn revoke(&self, query: &[(&str, String)]) -> Result<Value, AlbatrosError> {
        self.object(self.request(Method::DELETE, &["approved"]).query(query)).await
    }

    /// `GET …/artifacts` of a build's address.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn artifacts(&self, build: &[&str]) -> Result<Vec<Value>, AlbatrosError> {
        let path: Vec<&str> = build.iter().copied().chain(["artifacts"]).collect();
        match self.object(self.request(Method::GET, &path)).await? {
            Value::Array(listed) => Ok(listed),
            _ => Err(AlbatrosError::Strange("expected a list".to_owned())),
        }
    }

    /// `GET …/artifacts/<id>[/<path>]` of a build's address: the bytes as they come, from where the server says, and
    /// their SHA-256 where it is known. Who is redirected does not take the token along.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn artifact(&self, path: &[&str]) -> Result<(Option<String>, Response), AlbatrosError> {
        let response = self.open(self.request(Method::GET, path)).await?;
        let sum = response.headers().get(label::SHA256).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if response.status() != StatusCode::TEMPORARY_REDIRECT {
            return Ok((sum, self.success(response).await?));
        }
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.and_then(|text| Url::parse(text).ok());
        let location = location.ok_or_else(|| AlbatrosError::Strange("a redirect to nowhere".to_owned()))?;
        let response = self.open(self.client.get(location)).await?;
        Ok((sum, self.success(response).await?))
    }

    /// `GET /build`: the log as it comes.
    ///
    /// # Errors
    /// See [`AlbatrosError`].
    pub async fn log(&self, query: &[(&str, &str)]) -> Result<Response, AlbatrosError> {
        self.send(self.request(Method::GET, &["build"]).query(query)).await
    }
}

async fn read(mut response: Response) -> Result<Vec<u8>, AlbatrosError> {
    let mut body = Vec::new();
    let strange = |error: reqwest::Error| AlbatrosError::Strange(error.without_url().to_string());
    while let Some(chunk) = response.chunk().await.map_err(strange)? {
        if body.len() + chunk.len() > ANSWER_MOST {
            return Err(AlbatrosError::Strange("the answer is too long".to_owned()));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
