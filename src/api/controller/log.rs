//! The log archive's calls.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::Method;

use super::{CALL_WITHIN, Controller, ControllerError, UPLOAD_WITHIN};
use crate::api::http::HttpError;
use crate::domain::log_chunk::{End, Stream};

impl Controller {
    /// `GET /v1/masks`: what no archived log may hold. [`ControllerError::waiting`] means that one asks again.
    ///
    /// # Errors
    /// See [`ControllerError`]; 404 where logs are not archived.
    pub async fn masks(&self) -> Result<Vec<Vec<u8>>, ControllerError> {
        let answer = self.answer(self.request(Method::GET, &["masks"], Some(CALL_WITHIN))).await?;
        let coded: Vec<String> = answer.json().map_err(ControllerError::Strange)?;
        let decoded = coded.iter().map(|text| STANDARD.decode(text)).collect::<Result<_, _>>();
        // The error's own words would show a part of a secret.
        let strange = |_error| <serde_json::Error as serde::de::Error>::custom("not base64");
        decoded.map_err(strange).map_err(|error| ControllerError::Strange(HttpError::Json(error)))
    }

    /// `PUT /v1/log/{stream}/{offset}`: a chunk as [`Chunk::to_wire`](crate::domain::log_chunk::Chunk::to_wire) makes it;
    /// the same again is fine.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn put_log(&self, stream: Stream, offset: u64, chunk: Bytes) -> Result<(), ControllerError> {
        let path = ["log", stream.as_str(), &offset.to_string()];
        self.answer(self.request(Method::PUT, &path, Some(UPLOAD_WITHIN)).body(chunk)).await.map(drop)
    }

    /// `POST /v1/log/{stream}/end`: the log is whole.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn end_log(&self, stream: Stream, end: End) -> Result<(), ControllerError> {
        let path = ["log", stream.as_str(), "end"];
        self.answer(self.request(Method::POST, &path, Some(UPLOAD_WITHIN)).json(&end)).await.map(drop)
    }
}
