//! The files that `albatros explain` is given.

use serde::Deserialize;
use serde_json::Value;

use crate::domain::builder::{BuilderError, BuilderShape};
use crate::domain::delivery::Incoming;
use crate::domain::json;
use crate::domain::nomad::Job;
use crate::domain::plan::Site;

/// A delivery as it lies in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryFile {
    /// A body and nothing else: counts as verified.
    Bare(Vec<u8>),
    /// A recorded request.
    Request {
        /// `POST`.
        method: String,
        /// Path and query.
        path: String,
        /// In their order.
        headers: Vec<(String, String)>,
        /// The raw body.
        body: Vec<u8>,
    },
}

/// Why a file is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A recorded request with something else where it should have a string or a list.
    #[error(
        "a recorded request is {{\"method\", \"path\", \"headers\": [[name, value], …], \"body\"}}, all of them strings"
    )]
    Request,
    /// Not a job as Nomad gives it.
    #[error("this is not a job as `nomad job inspect` prints it")]
    Job(#[source] serde_json::Error),
}

/// How many of a recorded request's fields must be there for a file to be taken for one.
const TELLING: usize = 2;

impl DeliveryFile {
    /// Reads a file: a recorded request if it looks like one, else a bare body, whatever it holds.
    ///
    /// # Errors
    /// For a recorded request with fields of the wrong kind.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let bare = || Self::Bare(bytes.to_vec());
        let Ok(Value::Object(object)) = json::parse_strict(bytes) else { return Ok(bare()) };
        let known = ["method", "path", "headers", "body"];
        let telling = known.iter().filter(|name| object.contains_key(**name)).count();
        if telling < TELLING || object.contains_key("repository") {
            return Ok(bare());
        }
        let text = |name: &str, default: &str| match object.get(name) {
            None => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(_) => Err(FileError::Request),
        };
        Ok(Self::Request {
            method: text("method", "POST")?,
            path: text("path", "/hook")?,
            headers: object.get("headers").map_or(Ok(Vec::new()), headers)?,
            body: text("body", "")?.into_bytes(),
        })
    }

    pub(super) fn is_post(&self) -> bool {
        match self {
            Self::Bare(_) => true,
            Self::Request { method, .. } => method.eq_ignore_ascii_case("POST"),
        }
    }

    pub(super) fn body(&self) -> &[u8] {
        match self {
            Self::Bare(body) | Self::Request { body, .. } => body,
        }
    }

    pub(super) fn incoming(&self) -> Incoming<'_> {
        match self {
            Self::Bare(body) => Incoming { headers: &[], query: "", body },
            Self::Request { path, headers, body, .. } => {
                let path = path.split('#').next().unwrap_or_default();
                let query = path.split_once('?').map_or("", |(_, query)| query);
                Incoming { headers, query, body }
            }
        }
    }
}

/// A list of pairs, or an object.
fn headers(value: &Value) -> Result<Vec<(String, String)>, FileError> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(FileError::Request);
    match value {
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([name, value]) => Ok((text(name)?, text(value)?)),
                Some(_) | None => Err(FileError::Request),
            })
            .collect(),
        Value::Object(object) => object.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Err(FileError::Request),
    }
}

/// A builder as it lies in a file: what it takes, and where it is registered.
#[derive(Debug, Clone)]
pub struct BuilderFile {
    /// What it takes, if it is a builder at all.
    pub shape: Result<BuilderShape, BuilderError>,
    /// Its namespace and region, or what is usual where the file does not say.
    pub site: Site,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Place {
    namespace: Option<String>,
    region: Option<String>,
}

impl BuilderFile {
    /// Reads a job, also inside `{"Job": …}`.
    ///
    /// # Errors
    /// When it is no job.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        let mut value: Value = serde_json::from_slice(bytes).map_err(FileError::Job)?;
        if let Some(inside) = value.get_mut("Job") {
            value = inside.take();
        }
        let job: Job = serde_json::from_value(value.clone()).map_err(FileError::Job)?;
        let place: Place = serde_json::from_value(value).map_err(FileError::Job)?;
        let usual = Site::default();
        let given = |text: Option<String>, usual: String| text.filter(|text| !text.is_empty()).unwrap_or(usual);
        let site = Site {
            namespace: given(place.namespace, usual.namespace),
            region: given(place.region, usual.region),
            prefix: usual.prefix,
        };
        Ok(Self { shape: BuilderShape::of(&job), site })
    }
}
