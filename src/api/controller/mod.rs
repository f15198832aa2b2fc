//! The API of a build's controller, as the sidecar, `exec` and the verbs in a build use it.

mod address;
mod blobs;
mod jobs;
mod log;
mod machine;
mod runner;
mod saves;
mod wire;

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use url::Url;

use super::http::{Answer, EndpointError, HttpError, local_client};
use crate::domain::problem::Problem;
use crate::domain::runner::Ended;
use crate::domain::secret::Secret;

pub use address::{AddressError, ControllerAddress, Reach};
pub use blobs::{Parcel, Put};
pub use jobs::{LogStream, TUNNEL};
pub use machine::MachineState;
pub use saves::{Done, Due, Finished, Save, ScriptEnd, Unsaved, When};
pub(crate) use wire::WireWorkspace;
pub use wire::{Build, Reported, Workspace};

/// Longer than the controller holds any request but `finish`.
const CALL_WITHIN: Duration = Duration::from_secs(30);
/// Longer than a large file of test results takes on a slow machine.
const UPLOAD_WITHIN: Duration = Duration::from_secs(60);
/// The largest answer: parameters.
const ANSWER_MOST: usize = 4 << 20;

/// Why the controller did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// There can be no client.
    #[error("the build's controller cannot be reached")]
    Client(#[from] EndpointError),
    /// The socket's directory cannot be opened.
    #[error("the build's controller cannot be reached")]
    Socket(#[source] std::io::Error),
    /// No answer: it may not be there any more, or not yet.
    #[error("the build's controller does not answer")]
    NoAnswer(#[source] HttpError),
    /// It said no, in a sentence of its own; and how long it wants to be left alone, where it says so.
    #[error("{}", .0.detail)]
    Refused(Problem, Option<Duration>),
    /// It said something that is no answer of a controller.
    #[error("the answer is not one of a controller")]
    Strange(#[source] HttpError),
}

impl ControllerError {
    /// The status of a refusal.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused(problem, _) => StatusCode::from_u16(problem.status).ok(),
            Self::Client(_) | Self::Socket(_) | Self::NoAnswer(_) | Self::Strange(_) => None,
        }
    }

    /// Whether asking again is what the controller wants: it is waiting itself, or busy.
    #[must_use]
    pub fn waiting(&self) -> bool {
        matches!(self.status(), Some(StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS))
    }

    /// How long it wants to be left alone, where it says so.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::Refused(_, wait) => *wait,
            Self::Client(_) | Self::Socket(_) | Self::NoAnswer(_) | Self::Strange(_) => None,
        }
    }

    /// What the build ends with, where that is what the refusal means.
    #[must_use]
    pub fn ended(&self) -> Option<Ended> {
        match self {
            Self::Refused(problem, _) => Ended::of_problem(&problem.kind),
            Self::Client(_) | Self::Socket(_) | Self::NoAnswer(_) | Self::Strange(_) => None,
        }
    }
}

/// A build's controller, asked with one token.
#[derive(Debug)]
pub struct Controller {
    client: Client,
    base: Url,
    token: Secret,
    /// What the client's path leads through.
    _reach: Option<Reach>,
}

impl Controller {
    /// The controller at an address. Nothing is sent yet.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(address: &ControllerAddress, token: Secret) -> Result<Self, ControllerError> {
        match address {
            ControllerAddress::Unix(path) => Self::over(Reach::path(path).map_err(ControllerError::Socket)?, token),
            ControllerAddress::Web(base) => {
                Ok(Self { client: local_client(None)?, base: base.clone(), token, _reach: None })
            }
        }
    }

    /// The controller behind the very socket that was opened with `O_PATH`.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn through(socket: OwnedFd, token: Secret) -> Result<Self, ControllerError> {
        Self::over(Reach::opened(socket), token)
    }

    fn over(reach: Reach, token: Secret) -> Result<Self, ControllerError> {
        let client = local_client(Some(reach.as_path()))?;
        let base = Url::parse("http://albatros/").map_err(|_never| {
            ControllerError::Socket(std::io::Error::new(std::io::ErrorKind::InvalidInput, "no address"))
        })?;
        Ok(Self { client, base, token, _reach: Some(reach) })
    }

    fn request(&self, method: Method, path: &[&str], within: Option<Duration>) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let request = self.client.request(method, url).bearer_auth(self.token.expose());
        match within {
            Some(within) => request.timeout(within),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, ControllerError> {
        self.allowed(request, StatusCode::is_success).await
    }

    /// The same where the connection is to become something else.
    async fn open(&self, request: RequestBuilder) -> Result<Response, ControllerError> {
        self.allowed(request, |status| *status == StatusCode::SWITCHING_PROTOCOLS).await
    }

    async fn allowed(
        &self,
        request: RequestBuilder,
        good: impl Fn(&StatusCode) -> bool,
    ) -> Result<Response, ControllerError> {
        let response = request.send().await.map_err(|error| ControllerError::NoAnswer(HttpError::no_answer(error)))?;
        let status = response.status();
        if good(&status) {
            return Ok(response);
        }
        let answer = Answer::read(response, ANSWER_MOST).await.map_err(ControllerError::NoAnswer)?;
        let wait = answer.number("retry-after").map(Duration::from_secs);
        Err(ControllerError::Refused(Problem::of(status.as_u16(), &answer.body), wait))
    }

    async fn answer(&self, request: RequestBuilder) -> Result<Answer, ControllerError> {
        Answer::read(self.send(request).await?, ANSWER_MOST).await.map_err(ControllerError::NoAnswer)
    }

    /// `GET /v1/build`: what is built; with either token.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn build(&self) -> Result<Build, ControllerError> {
        let request = self.request(Method::GET, &["build"], Some(CALL_WITHIN));
        self.answer(request).await?.json().map_err(ControllerError::Strange)
    }

    /// `GET /v1/workspace`: how the workspace is made. Held by the controller for a while; [`ControllerError::waiting`]
    /// means that one asks again, [`ControllerError::ended`] that the build cannot go on.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn workspace(&self) -> Result<Workspace, ControllerError> {
        let answer = self.answer(self.request(Method::GET, &["workspace"], Some(CALL_WITHIN))).await?;
        let strange = |error| ControllerError::Strange(HttpError::Json(error));
        Workspace::from_wire(&answer.body).map_err(strange)
    }

    /// `POST /v1/attach`: the sidecar holds its socket.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn attach(&self) -> Result<(), ControllerError> {
        self.answer(self.request(Method::POST, &["attach"], Some(CALL_WITHIN))).await.map(drop)
    }

    /// `POST /v1/prepared`: the workspace is there. Answered once the sidecar has attached and the trusted files are
    /// gone; [`ControllerError::waiting`] means that one asks again.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn prepared(&self) -> Result<(), ControllerError> {
        self.answer(self.request(Method::POST, &["prepared"], Some(CALL_WITHIN))).await.map(drop)
    }

    /// `GET /v1/params`: all parameters.
    ///
    /// # Errors
    /// See [`ControllerError`]; 403 where the build may have none.
    pub async fn params(&self) -> Result<BTreeMap<String, Secret>, ControllerError> {
        let request = self.request(Method::GET, &["params"], Some(CALL_WITHIN));
        self.answer(request.header("Accept", "application/json")).await?.json().map_err(ControllerError::Strange)
    }

    /// `GET /v1/params/{name}`: one parameter, byte for byte; none where there is none of that name.
    ///
    /// # Errors
    /// See [`ControllerError`]; 403 where the build may have none.
    pub async fn param(&self, name: &str) -> Result<Option<Secret>, ControllerError> {
        let answered = self.answer(self.request(Method::GET, &["params", name], Some(CALL_WITHIN))).await;
        match answered {
            Ok(answer) => text(&answer).map(Some),
            Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The parameters as they stand in the configuration, byte for byte: what `SECRET_PATH` holds. None where the
    /// build may have none, or where there are none.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn raw_params(&self) -> Result<Option<Secret>, ControllerError> {
        let request = self.request(Method::GET, &["params"], Some(CALL_WITHIN)).header("Accept", "text/plain");
        match self.answer(request).await {
            Ok(answer) if answer.body.is_empty() => Ok(None),
            Ok(answer) => text(&answer).map(Some),
            Err(error) if error.status() == Some(StatusCode::FORBIDDEN) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `POST /v1/events`
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn event(&self, kind: &str, data: &Value) -> Result<(), ControllerError> {
        let event = serde_json::json!({ "type": kind, "data": data });
        self.answer(self.request(Method::POST, &["events"], Some(CALL_WITHIN)).json(&event)).await.map(drop)
    }

    /// `GET /v1/events`: server-sent events as they come, from behind the one with the id `after`. The reader watches
    /// for silence itself: a comment comes every few seconds.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn events(&self, after: Option<u64>) -> Result<Response, ControllerError> {
        let mut request = self.request(Method::GET, &["events"], None);
        if let Some(id) = after {
            request = request.header("Last-Event-ID", id);
        }
        self.send(request).await
    }

    /// `POST /v1/report`: the summary, in Markdown; in place of the one before, or behind it.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn summary(&self, markdown: impl Into<Bytes>, append: bool) -> Result<Reported, ControllerError> {
        let mut request = self.request(Method::POST, &["report"], Some(CALL_WITHIN));
        if append {
            request = request.query(&[("append", "true")]);
        }
        let request = request.header("Content-Type", "text/markdown").body(markdown.into());
        self.answer(request).await?.json().map_err(ControllerError::Strange)
    }

    /// `POST /v1/report`: a file of test results, JUnit XML. The same name replaces what was reported under it.
    ///
    /// # Errors
    /// See [`ControllerError`].
    pub async fn tests(&self, name: &str, xml: impl Into<Bytes>) -> Result<Reported, ControllerError> {
        let request = self.request(Method::POST, &["report"], Some(UPLOAD_WITHIN)).query(&[("name", name)]);
        let request = request.header("Content-Type", "application/xml").body(xml.into());
        self.answer(request).await?.json().map_err(ControllerError::Strange)
    }
}

fn text(answer: &Answer) -> Result<Secret, ControllerError> {
    let strange = |_error| {
        let not_text = <serde_json::Error as serde::de::Error>::custom("not UTF-8");
        ControllerError::Strange(HttpError::Json(not_text))
    };
    String::from_utf8(answer.body.to_vec()).map(Secret::new).map_err(strange)
}
