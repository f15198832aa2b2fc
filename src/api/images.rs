//! A registry of images (<https://github.com/opencontainers/distribution-spec>): manifests and blobs, each bounded.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::ACCEPT;
use reqwest::{Client, Response};
use url::Url;

use super::http::{Answer, EndpointError, HttpError, registry_client};
use crate::domain::secret::Secret;

/// A manifest, or an index of them, bytes.
const MANIFEST_MOST: usize = 4 << 20;
/// What a registry says where it refuses, bytes.
const WORDS_MOST: usize = 64 * 1024;
/// What may be answered for a manifest.
const ACCEPTED: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
                        application/vnd.docker.distribution.manifest.v2+json, \
                        application/vnd.docker.distribution.manifest.list.v2+json";

/// Who asks.
#[derive(Debug)]
pub enum Asker {
    /// Nobody in particular.
    Anybody,
    /// Who holds a token of this registry.
    Token(Secret),
    /// A user and a password.
    User(String, Secret),
}

/// One repository of a registry.
#[derive(Debug)]
pub struct Repository {
    client: Client,
    at: Url,
    asker: Asker,
}

/// Something large that comes piece by piece.
#[derive(Debug)]
pub struct Blob(Response);

impl Repository {
    /// The repository at `https://registry/v2/name/`. A connection that brings nothing for `silence` is given up.
    ///
    /// # Errors
    /// When there can be no client.
    pub fn new(at: Url, asker: Asker, silence: Duration) -> Result<Self, EndpointError> {
        Ok(Self { client: registry_client(&at, silence)?, at, asker })
    }

    /// The manifest or index of a tag or digest.
    ///
    /// # Errors
    /// When there is none, or it is too large.
    pub async fn manifest(&self, reference: &str) -> Result<Bytes, HttpError> {
        let response = self.ask("manifests", reference).await?;
        Ok(Answer::read(response, MANIFEST_MOST).await?.body)
    }

    /// The blob of a digest. Whether it is that one, whoever reads it checks.
    ///
    /// # Errors
    /// When there is none.
    pub async fn blob(&self, digest: &str) -> Result<Blob, HttpError> {
        self.ask("blobs", digest).await.map(Blob)
    }

    async fn ask(&self, kind: &str, name: &str) -> Result<Response, HttpError> {
        let mut url = self.at.clone();
        url.path_segments_mut().map_err(|()| HttpError::Path)?.pop_if_empty().extend([kind, name]);
        let request = self.client.get(url).header(ACCEPT, ACCEPTED);
        let request = match &self.asker {
            Asker::Anybody => request,
            Asker::Token(token) => request.bearer_auth(token.expose()),
            Asker::User(name, password) => request.basic_auth(name, Some(password.expose())),
        };
        let response = request.send().await.map_err(HttpError::no_answer)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        // Words that do not end say no more than the status.
        let answer = Answer::read(response, WORDS_MOST).await;
        let words = answer.map(|answer| answer.words()).unwrap_or_default();
        Err(HttpError::Status { status, words })
    }
}

impl Blob {
    /// The next piece; none at its end.
    ///
    /// # Errors
    /// When it breaks off.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, HttpError> {
        self.0.chunk().await.map_err(|error| HttpError::Cut(error.without_url()))
    }
}
