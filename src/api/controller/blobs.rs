//! Artifacts and caches, as the verbs in a build and the sidecar ask the controller for them.

use std::time::Duration;

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method, Response, StatusCode};
use serde::Serialize;

use super::saves::{Done, Due, Finished, Save};
use super::{CALL_WITHIN, Controller, ControllerError};
use crate::api::http::HttpError;
use crate::api::session::blobs::Wanted;
use crate::domain::blob::{BlobKind, Manifest, Packing};
use crate::domain::id::BlobId;
use crate::domain::label::Label;
use crate::domain::secret::Secret;

/// Longer than the controller waits for what is to be kept at the end, and for the report.
const FINISH_WITHIN: Duration = Duration::from_secs(11 * 60);

/// Something that is put.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
    /// What for.
    pub kind: BlobKind,
    /// Under which id.
    pub id: &'a BlobId,
    /// How it is packed.
    pub packing: Packing,
    /// Of a single file: what it is called.
    pub name: Option<&'a str>,
    /// Its size, where that is known beforehand.
    pub size: Option<u64>,
}

/// What became of something that was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Put {
    /// It is kept.
    Kept(Label),
    /// There was a cache of that key before; that one stays.
    There(Label),
}

#[derive(Serialize)]
struct Exit<'a> {
    exit_code: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<&'a str>,
}

impl Controller {
    /// `PUT /v1/{kind}/{id}`: sends something to be kept. 409: there is an artifact of that id already.
    /// [`ControllerError::waiting`] means that it is worth trying again, from the start.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn put_blob(&self, parcel: Parcel<'_>, body: Body) -> Result<Put, ControllerError> {
        let path = [parcel.kind.as_str(), parcel.id.as_str()];
        let mut request = self.request(Method::PUT, &path, None);
        if let Some(name) = parcel.name {
            request = request.query(&[("name", name)]);
        }
        if let Some(size) = parcel.size {
            request = request.header(CONTENT_LENGTH, size);
        }
        let request = request.header(CONTENT_TYPE, parcel.packing.media_type()).body(body);
        let response = self.send(request).await?;
        let label = label(&response)?;
        Ok(if response.status() == StatusCode::CREATED { Put::Kept(label) } else { Put::There(label) })
    }

    /// `GET /v1/{kind}/{id}`: what it is, and its bytes, unread; none where there is none. The reader watches for
    /// silence itself.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn blob(
        &self,
        (kind, id): (BlobKind, &BlobId),
        wanted: &Wanted,
    ) -> Result<Option<(Label, Response)>, ControllerError> {
        let request = self.request(Method::GET, &[kind.as_str(), id.as_str()], None).query(&wanted.query());
        match self.send(request).await {
            Ok(response) => Ok(Some((label(&response)?, response))),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `HEAD /v1/{kind}/{id}`: what is known of it; none where there is none.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn blob_label(
        &self,
        (kind, id): (BlobKind, &BlobId),
        wanted: &Wanted,
    ) -> Result<Option<Label>, ControllerError> {
        let request = self.request(Method::HEAD, &[kind.as_str(), id.as_str()], Some(CALL_WITHIN));
        match self.send(request.query(&wanted.query())).await {
            Ok(response) => label(&response).map(Some),
            Err(error) if is_nothing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `GET /v1/artifacts`: all that this build has left so far, or that another one has.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn artifacts(&self, wanted: &Wanted) -> Result<Vec<Manifest>, ControllerError> {
        let request = self.request(Method::GET, &[BlobKind::Artifact.as_str()], Some(CALL_WITHIN));
        self.answer(request.query(&wanted.query())).await?.json().map_err(ControllerError::Strange)
    }

    /// `POST /v1/saves`: something is to be kept when the script has ended.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn save(&self, save: &Save) -> Result<(), ControllerError> {
        self.answer(self.request(Method::POST, &["saves"], Some(CALL_WITHIN)).json(save)).await.map(drop)
    }

    /// `GET /v1/saves/due`: what is to be kept, once the script has ended; none: one asks again.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn saves_due(&self) -> Result<Option<Due>, ControllerError> {
        let answer = self.answer(self.request(Method::GET, &["saves", "due"], Some(CALL_WITHIN))).await?;
        if answer.status == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        answer.json().map(Some).map_err(ControllerError::Strange)
    }

    /// `POST /v1/saves/done`: it is kept, but for this.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn saves_done(&self, done: &Done) -> Result<(), ControllerError> {
        self.answer(self.request(Method::POST, &["saves", "done"], Some(CALL_WITHIN)).json(done)).await.map(drop)
    }

    /// `POST /v1/finish`: the script has ended, with this code. What was to be kept is kept or given up, the report has
    /// been delivered or given up, and the token is dead.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn finish(&self, exit_code: u8) -> Result<Finished, ControllerError> {
        self.finish_machine(exit_code, None, None).await
    }

    /// The same by the host of a machine, with the key that it has given in `POST /v1/machine`, and why the build is none.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn finish_machine(
        &self,
        exit_code: u8,
        key: Option<&Secret>,
        trouble: Option<&str>,
    ) -> Result<Finished, ControllerError> {
        let exit = Exit { exit_code, machine: key.map(Secret::expose), trouble };
        let request = self.request(Method::POST, &["finish"], Some(FINISH_WITHIN)).json(&exit);
        self.answer(request).await?.json().map_err(ControllerError::Strange)
    }
}

/// There is no such blob, which is not the same as that there is no store.
fn is_nothing(error: &ControllerError) -> bool {
    match error {
        ControllerError::Refused(problem, _) => problem.status == 404 && problem.kind == crate::domain::problem::BLANK,
        ControllerError::Client(_)
        | ControllerError::Socket(_)
        | ControllerError::NoAnswer(_)
        | ControllerError::Strange(_) => false,
    }
}

fn label(response: &Response) -> Result<Label, ControllerError> {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let strange = <serde_json::Error as serde::de::Error>::custom("no headers of a blob");
    Label::of_headers(header).ok_or(ControllerError::Strange(HttpError::Json(strange)))
}
