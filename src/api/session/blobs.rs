//! A build's artifacts and caches at serve: begun, sent, and there once they are committed; read as streams.
//!
//! Bytes go to serve, or where it says: to an address that is good for this one upload or download. That is never told
//! the session's secret, and never stands in an error.

use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION};
use reqwest::{Body, Client, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{ANSWER_MOST, SessionError, SessionServer};
use crate::api::http::{Answer, HttpError, named_client};
use crate::domain::blob::{BlobKind, Manifest, Packing};
use crate::domain::id::{BlobId, ClaimId};
use crate::domain::label::Label;
use crate::domain::secret::Secret;

/// A read or a write of a few bytes in the store.
const CALL_WITHIN: Duration = Duration::from_secs(30);
/// To commit, serve may have to look at the whole object.
const COMMIT_WITHIN: Duration = Duration::from_secs(120);

/// A build's session, for these calls.
#[derive(Debug, Clone, Copy)]
pub struct Session<'a> {
    /// Which build.
    pub claim: &'a ClaimId,
    /// Its secret.
    pub secret: &'a Secret,
}

/// An upload that may be sent now.
#[derive(Clone, Deserialize)]
pub struct Begun {
    /// What it is called until it is committed.
    pub upload: String,
    /// Where to send it, if not to serve; good for a while, for whoever has it.
    url: Option<Url>,
    /// The most bytes that are taken.
    pub most: u64,
}

impl std::fmt::Debug for Begun {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Begun").field("upload", &self.upload).field("most", &self.most).finish_non_exhaustive()
    }
}

impl Begun {
    /// Whether its size must be known before it is sent.
    #[must_use]
    pub fn needs_size(&self) -> bool {
        self.url.is_some()
    }
}

/// What was sent, to be made a blob.
#[derive(Debug, Clone, Serialize)]
pub struct Commit<'a> {
    /// The upload.
    pub upload: &'a str,
    /// Bytes that were sent.
    pub size: u64,
    /// SHA-256 of them.
    pub sha256: &'a str,
    /// How they are packed.
    pub packing: Packing,
    /// Of a single file: what it was called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
}

/// Which blob is wanted, if not the build's own of that id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of the newest green build of the branch.
    pub latest_green: bool,
    /// Of another branch than this build's.
    pub branch: Option<String>,
    /// Of caches: the newest one whose id begins with the first of these that any does.
    pub fallback: Vec<String>,
}

#[derive(Serialize)]
struct Size {
    size: Option<u64>,
}

impl SessionServer {
    fn blob_url(&self, session: Session<'_>, kind: BlobKind, rest: &[&str]) -> Url {
        let mut path = vec!["session", session.claim.as_str(), kind.as_str()];
        path.extend(rest);
        self.url(&path)
    }

    /// `POST /session/{claim}/{kind}/{id}`: an upload of so many bytes, where that is known. 409: there is one already.
    /// 413: too large, or too many. 404 of [`crate::domain::problem::NO_STORE`]: serve keeps nothing.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn begin_blob(
        &self,
        session: Session<'_>,
        (kind, id): (BlobKind, &BlobId),
        size: Option<u64>,
    ) -> Result<Begun, SessionError> {
        let request = self.client.post(self.blob_url(session, kind, &[id.as_str()]));
        let request = request.bearer_auth(session.secret.expose()).json(&Size { size });
        self.send(request.timeout(CALL_WITHIN)).await?.json().map_err(SessionError::NoAnswer)
    }

    /// Sends what was begun: to serve, or where it said. The caller watches that it gets on.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn send_blob(
        &self,
        session: Session<'_>,
        begun: &Begun,
        size: Option<u64>,
        body: Body,
    ) -> Result<(), SessionError> {
        let request = match &begun.url {
            Some(address) => self.elsewhere(address)?.put(address.clone()),
            None => {
                let url = self.url(&["session", session.claim.as_str(), "uploads", &begun.upload]);
                self.client.put(url).bearer_auth(session.secret.expose())
            }
        };
        let mut request = request.header(CONTENT_TYPE, "application/octet-stream").body(body);
        if let Some(size) = size {
            request = request.header(CONTENT_LENGTH, size);
        }
        match self.send(request).await {
            Ok(_) => Ok(()),
            Err(error) if begun.url.is_some() => Err(of_the_store(error)),
            Err(error) => Err(error),
        }
    }

    /// `POST /session/{claim}/{kind}/{id}/commit`: from here on it is there. The same again is fine.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn commit_blob(
        &self,
        session: Session<'_>,
        (kind, id): (BlobKind, &BlobId),
        commit: &Commit<'_>,
    ) -> Result<Manifest, SessionError> {
        let request = self.client.post(self.blob_url(session, kind, &[id.as_str(), "commit"]));
        let request = request.bearer_auth(session.secret.expose()).json(commit);
        self.send(request.timeout(COMMIT_WITHIN)).await?.json().map_err(SessionError::NoAnswer)
    }

    /// `GET /session/{claim}/{kind}/{id}`: the blob, its body unread; from where serve says. 404: there is none.
    /// The caller watches that it gets on.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn blob(
        &self,
        session: Session<'_>,
        (kind, id): (BlobKind, &BlobId),
        wanted: &Wanted,
    ) -> Result<(Label, Response), SessionError> {
        let url = wanted.put_into(self.blob_url(session, kind, &[id.as_str()]));
        let response = open(self.client.get(url).bearer_auth(session.secret.expose())).await?;
        let label = label(&response)?;
        if response.status() != StatusCode::TEMPORARY_REDIRECT {
            return Ok((label, response));
        }
        let address = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let address = address.and_then(|text| Url::parse(text).ok()).ok_or_else(strange)?;
        let response = open(self.elsewhere(&address)?.get(address)).await?;
        if response.status().is_success() { Ok((label, response)) } else { Err(strange()) }
    }

    /// `HEAD /session/{claim}/{kind}/{id}`: what is known of the blob. 404: there is none.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn blob_label(
        &self,
        session: Session<'_>,
        (kind, id): (BlobKind, &BlobId),
        wanted: &Wanted,
    ) -> Result<Label, SessionError> {
        let url = wanted.put_into(self.blob_url(session, kind, &[id.as_str()]));
        let request = self.client.head(url).bearer_auth(session.secret.expose());
        label(&open(request.timeout(CALL_WITHIN)).await?)
    }

    /// `GET /session/{claim}/artifacts`: all that this build has left so far, or that another one has.
    ///
    /// # Errors
    /// See [`SessionError`].
    pub async fn artifacts(&self, session: Session<'_>, wanted: &Wanted) -> Result<Vec<Manifest>, SessionError> {
        let url = wanted.put_into(self.blob_url(session, BlobKind::Artifact, &[]));
        let request = self.client.get(url).bearer_auth(session.secret.expose());
        self.send(request.timeout(CALL_WITHIN)).await?.json().map_err(SessionError::NoAnswer)
    }

    fn elsewhere(&self, address: &Url) -> Result<Client, SessionError> {
        if !matches!(address.scheme(), "http" | "https") {
            return Err(strange());
        }
        named_client(address, self.ca.as_deref()).map_err(|error| {
            tracing::error!(%error, "there is no client for the store");
            strange()
        })
    }
}

impl Wanted {
    /// As a query.
    #[must_use]
    pub fn query(&self) -> Vec<(&str, &str)> {
        let mut query: Vec<(&str, &str)> = Vec::new();
        if self.latest_green {
            query.push(("from", "latest-green"));
        }
        query.extend(self.branch.iter().map(|branch| ("branch", branch.as_str())));
        query.extend(self.fallback.iter().map(|prefix| ("fallback", prefix.as_str())));
        query
    }

    fn put_into(&self, mut url: Url) -> Url {
        let query = self.query();
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

/// An answer of success, or a redirect, with its body unread.
async fn open(request: RequestBuilder) -> Result<Response, SessionError> {
    let response = request.send().await.map_err(|error| SessionError::NoAnswer(HttpError::no_answer(error)))?;
    if response.status().is_success() || response.status() == StatusCode::TEMPORARY_REDIRECT {
        return Ok(response);
    }
    let answer = Answer::read(response, ANSWER_MOST).await.map_err(SessionError::NoAnswer)?;
    Err(SessionError::refused(&answer))
}

fn label(response: &Response) -> Result<Label, SessionError> {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    Label::of_headers(header).ok_or_else(strange)
}

/// What a store says is a page of its own, with names that are nobody's business.
fn of_the_store(error: SessionError) -> SessionError {
    match error {
        SessionError::Refused { mut problem, retry_after } => {
            problem.detail = format!("the store answers with status {}", problem.status);
            SessionError::Refused { problem, retry_after }
        }
        SessionError::NoAnswer(error) => SessionError::NoAnswer(error),
    }
}

/// Something that serve does not answer.
fn strange() -> SessionError {
    let what = <serde_json::Error as serde::de::Error>::custom("an answer of another kind");
    SessionError::NoAnswer(HttpError::Json(what))
}
