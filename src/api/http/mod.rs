//! The one place that makes HTTP clients: a service's address, its token and its TLS become an [`Endpoint`].
//!
//! Redirects are never followed (a token header would go along), connecting takes at most [`CONNECT_TIMEOUT`], and
//! every call names its own time limit.

mod address;
mod answer;
mod client;
mod token;

use std::time::Duration;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};

use super::meter::{Callee, Meter};
use crate::domain::secret::Secret;

pub use address::{Address, AddressError};
pub use answer::{Answer, HttpError};
pub use client::{CaSource, ClientKey, Tls, forge_client, local_client, named_client, registry_client, service_client};
pub use token::TokenSource;

use token::Token;

/// How long a connection may take to come up; services of a cluster are near.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Which service is called: it decides how the token is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `X-Nomad-Token`.
    Nomad,
    /// `X-Consul-Token`.
    Consul,
}

impl Service {
    fn callee(self) -> Callee {
        match self {
            Self::Nomad => Callee::Nomad,
            Self::Consul => Callee::Consul,
        }
    }

    fn token_header(self) -> HeaderName {
        match self {
            Self::Nomad => HeaderName::from_static("x-nomad-token"),
            Self::Consul => HeaderName::from_static("x-consul-token"),
        }
    }

    /// The service's name, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nomad => "Nomad",
            Self::Consul => "Consul",
        }
    }
}

/// `*_HTTP_AUTH`: basic authentication for a proxy in front of the service.
#[derive(Debug, Clone)]
pub struct HttpAuth {
    /// The user.
    pub user: String,
    /// The password; absent where only a user was given.
    pub password: Option<Secret>,
}

/// Everything that was told about a service, before any file is read.
#[derive(Debug, Clone)]
pub struct EndpointConfig {
    /// Which service.
    pub service: Service,
    /// Where it is.
    pub address: Address,
    /// What it is shown.
    pub token: Option<TokenSource>,
    /// How it is trusted, and how it trusts us.
    pub tls: Tls,
    /// For a proxy in front of it.
    pub http_auth: Option<HttpAuth>,
    /// Sent with each request: `region` for Nomad, `ns` for Consul.
    pub query: Vec<(String, String)>,
}

/// Why an endpoint could not be set up; each is for the person who wrote the settings.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// A file of the settings cannot be read.
    #[error("cannot read {what} {path}")]
    File {
        /// What it was to be.
        what: &'static str,
        /// Where it was looked for.
        path: String,
        /// The reason.
        #[source]
        source: std::io::Error,
    },
    /// A file of the settings holds something else.
    #[error("{0}")]
    Content(String),
    /// The TLS library refuses what it was given.
    #[error("the TLS settings for {service} cannot be used")]
    Tls {
        /// The service.
        service: &'static str,
        /// The reason.
        #[source]
        source: reqwest::Error,
    },
}

/// A service that can be called. Cheap to clone; clones share connections and the token.
#[derive(Clone)]
pub struct Endpoint {
    service: Service,
    client: reqwest::Client,
    base: url::Url,
    host: Option<HeaderValue>,
    token: Token,
    http_auth: Option<HttpAuth>,
    query: Vec<(String, String)>,
    meter: Meter,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("service", &self.service).field("base", &self.base.as_str()).finish()
    }
}

impl Endpoint {
    /// Reads the files that the settings name and makes the client.
    ///
    /// # Errors
    /// See [`EndpointError`].
    pub fn new(config: EndpointConfig) -> Result<Self, EndpointError> {
        let client = client::build(config.service, &config.address, &config.tls)?;
        let (base, host) = client::base(&config.address, &config.tls)?;
        Ok(Self {
            service: config.service,
            client,
            base,
            host,
            token: Token::new(config.token)?,
            http_auth: config.http_auth,
            query: config.query,
            meter: Meter::default(),
        })
    }

    /// The same, measured by `meter`.
    #[must_use]
    pub fn metered(self, meter: Meter) -> Self {
        Self { meter, ..self }
    }

    /// Which service this is.
    #[must_use]
    pub fn service(&self) -> Service {
        self.service
    }

    /// A request with token and default query. `path` is one entry a segment; each is percent-encoded, slashes too.
    /// The limit is for the whole exchange; none is for streams, whose reader must watch for silence itself.
    ///
    /// # Errors
    /// [`HttpError::Path`] for a segment that URLs cannot carry (empty, `.`, `..`).
    pub fn request(&self, method: Method, path: &[&str], limit: Option<Duration>) -> Result<RequestBuilder, HttpError> {
        let mut request = self.client.request(method, self.url(path)?);
        if let Some(limit) = limit {
            request = request.timeout(limit);
        }
        if let Some(host) = &self.host {
            request = request.header(reqwest::header::HOST, host.clone());
        }
        if let Some(auth) = &self.http_auth {
            request = request.basic_auth(&auth.user, auth.password.as_ref().map(Secret::expose));
        }
        if let Some(token) = self.token.now() {
            request = request.header(self.service.token_header(), token);
        }
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        Ok(request)
    }

    /// Sends a request and reads the whole answer, of at most `cap` bytes. Any status is an answer. `what` is attempted,
    /// to stand behind "could not"; it is what the call is measured by.
    ///
    /// # Errors
    /// When there is no whole answer; see [`HttpError::surely_unsent`] for what that means for a write.
    pub async fn call(&self, what: &'static str, request: RequestBuilder, cap: usize) -> Result<Answer, HttpError> {
        let running = self.meter.begin(self.service.callee(), what);
        let answer = read(request, cap).await;
        running.end(answer.as_ref().map(|answer| answer.status));
        answer
    }

    /// The same for a long poll, whose time says nothing of the service.
    ///
    /// # Errors
    /// As [`Endpoint::call`].
    pub async fn wait(&self, what: &'static str, request: RequestBuilder, cap: usize) -> Result<Answer, HttpError> {
        let answer = read(request, cap).await;
        self.meter.waited(self.service.callee(), what, answer.as_ref().map(|answer| answer.status));
        answer
    }

    /// Sends a request and hands over the answer with its body unread, once it has begun within `limit`. Any status is
    /// an answer.
    ///
    /// # Errors
    /// When there is no answer; [`HttpError::Slow`] when there is none yet.
    pub async fn open(
        &self,
        what: &'static str,
        request: RequestBuilder,
        limit: Duration,
    ) -> Result<Response, HttpError> {
        let opened = tokio::time::timeout(limit, request.send()).await;
        let opened = opened.map_err(|_late| HttpError::Slow).and_then(|sent| sent.map_err(HttpError::no_answer));
        self.meter.waited(self.service.callee(), what, opened.as_ref().map(Response::status));
        opened
    }

    fn url(&self, path: &[&str]) -> Result<url::Url, HttpError> {
        let mut url = self.base.clone();
        {
            let mut segments = url.path_segments_mut().map_err(|()| HttpError::Path)?;
            segments.pop_if_empty();
            for segment in path {
                // The URL standard drops these, which would name something else.
                if matches!(*segment, "" | "." | "..") {
                    return Err(HttpError::Path);
                }
                segments.push(segment);
            }
        }
        Ok(url)
    }
}

async fn read(request: RequestBuilder, cap: usize) -> Result<Answer, HttpError> {
    Answer::read(request.send().await.map_err(HttpError::no_answer)?, cap).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(address: &str) -> Endpoint {
        Endpoint::new(EndpointConfig {
            service: Service::Nomad,
            address: address.parse().unwrap(),
            token: Some(TokenSource::Value(Secret::new("t0p-s3cr3t"))),
            tls: Tls::default(),
            http_auth: Some(HttpAuth { user: "u".to_owned(), password: Some(Secret::new("pa55")) }),
            query: vec![("region".to_owned(), "eu".to_owned())],
        })
        .unwrap()
    }

    #[test]
    fn a_segment_with_slashes_stays_one_segment() {
        let request = endpoint("http://127.0.0.1:4646/proxy/")
            .request(Method::GET, &["v1", "job", "team/builder/dispatch-1-a?b#c%d"], None)
            .unwrap()
            .query(&[("wait", "5s")])
            .build()
            .unwrap();
        assert_eq!(
            request.url().as_str(),
            "http://127.0.0.1:4646/proxy/v1/job/team%2Fbuilder%2Fdispatch-1-a%3Fb%23c%25d?region=eu&wait=5s"
        );
        assert_eq!(request.headers().get("x-nomad-token").unwrap(), "t0p-s3cr3t");
        assert_eq!(request.headers().get("authorization").unwrap(), "Basic dTpwYTU1");
    }

    #[test]
    fn a_segment_that_urls_drop_is_refused() {
        let endpoint = endpoint("127.0.0.1:4646");
        for segment in ["", ".", ".."] {
            let refused = endpoint.request(Method::GET, &["v1", segment], None);
            assert!(matches!(refused, Err(HttpError::Path)), "{segment}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let endpoint = endpoint("127.0.0.1:4646");
        let request = endpoint.request(Method::GET, &["v1"], None).unwrap();
        for shown in [format!("{endpoint:?}"), format!("{request:?}")] {
            assert!(!shown.contains("t0p-s3cr3t") && !shown.contains("pa55"), "{shown}");
        }
    }
}
