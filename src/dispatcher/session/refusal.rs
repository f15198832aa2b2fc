//! What a controller is told when it is not given what it asks for (RFC 9457).

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};

use crate::api::store::StoreError;
use crate::dispatcher::answer;
use crate::dispatcher::on_ref::OffRef;
use crate::domain::grant::NamedError;
use crate::domain::identity::Stranger;
use crate::domain::problem::{self, BLANK, COMMIT_GONE, FORGE, NO_STORE, Problem};
use crate::engine::{EngineError, IdentifyError};
use crate::registry::RegistryError;

/// Seconds after which a controller that has to wait should ask again; it has a back-off of its own.
const SOON: HeaderValue = HeaderValue::from_static("1");

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A status and a sentence; the cause stays in the log.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub(crate) struct Refusal {
    pub(super) status: StatusCode,
    kind: &'static str,
    pub(super) sentence: String,
    #[source]
    pub(super) cause: Option<Cause>,
    /// How long whom we asked for the caller wants to be left alone.
    wait: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, sentence: impl Into<String>) -> Self {
        Self { status, kind: BLANK, sentence: sentence.into(), cause: None, wait: None }
    }

    fn because(self, cause: impl Into<Cause>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// Nothing to check.
    pub(super) fn no_token() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "a bearer token is needed")
    }

    /// The body is not what was asked for.
    pub(super) fn malformed(sentence: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    /// Not for this caller.
    pub(super) fn forbidden(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, sentence)
    }

    /// Another controller, or whoever has its token, was here before.
    pub(super) fn taken() -> Self {
        Self::new(StatusCode::CONFLICT, "this build has a session already, with another secret")
    }

    /// Something else is there in its place.
    pub(super) fn conflict(sentence: &str) -> Self {
        Self::new(StatusCode::CONFLICT, sentence)
    }

    /// There is no such thing.
    pub(super) fn not_found(sentence: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, sentence)
    }

    /// The build is over.
    pub(super) fn over() -> Self {
        Self::gone("the build is over")
    }

    /// Too late, for good.
    pub(super) fn gone(sentence: &str) -> Self {
        Self::new(StatusCode::GONE, sentence)
    }

    /// What is asked for makes sense, and cannot be done as things stand.
    pub(super) fn unfit(sentence: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, sentence)
    }

    /// Try again.
    pub(super) fn later(sentence: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, sentence)
    }

    /// Try again, after so long where somebody asks for it.
    pub(super) fn later_by(sentence: &str, wait: Option<Duration>) -> Self {
        Self { wait, ..Self::later(sentence) }
    }

    /// There is nowhere to keep anything.
    pub(super) fn no_store() -> Self {
        let sentence = "this server keeps nothing: it has no store (ALBATROS_STORE)";
        Self { kind: NO_STORE, ..Self::new(StatusCode::NOT_FOUND, sentence) }
    }

    /// Whether trying again may help.
    pub(super) fn passes(&self) -> bool {
        self.status == StatusCode::SERVICE_UNAVAILABLE
    }
}

impl From<IdentifyError> for Refusal {
    fn from(error: IdentifyError) -> Self {
        match error {
            IdentifyError::None => Self::new(StatusCode::NOT_FOUND, "builds of this server have no sessions"),
            IdentifyError::Refused(why) => Self::new(StatusCode::UNAUTHORIZED, why.to_string()).because(why),
            IdentifyError::Unavailable(cause) => Self::later("Nomad's keys cannot be read now").because(cause),
        }
    }
}

impl From<Stranger> for Refusal {
    fn from(why: Stranger) -> Self {
        Self::forbidden(why.to_string())
    }
}

impl From<NamedError> for Refusal {
    fn from(why: NamedError) -> Self {
        Self::unfit(why.to_string())
    }
}

impl From<RegistryError> for Refusal {
    fn from(error: RegistryError) -> Self {
        Self::later("the registry cannot be read or written now").because(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let status = match error {
            StoreError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string()).because(error)
    }
}

impl From<EngineError> for Refusal {
    fn from(error: EngineError) -> Self {
        Self::later("Nomad cannot be asked now").because(error)
    }
}

impl From<OffRef> for Refusal {
    fn from(why: OffRef) -> Self {
        match why {
            OffRef::Gone => Self { kind: COMMIT_GONE, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, why.to_string()) },
            OffRef::Unasked(cause) => {
                let sentence = "the forge cannot be asked whether the commit is on its ref";
                Self { kind: FORGE, ..Self::later(sentence).because(cause) }
            }
        }
    }
}

impl From<answer::Problem> for Refusal {
    fn from(problem: answer::Problem) -> Self {
        match problem.status {
            // The sentence of those who send deliveries names their setting.
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(problem.status, "the body is too large"),
            status => Self::new(status, problem.sentence),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let passes = self.passes();
        let problem = Problem {
            kind: self.kind.to_owned(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            detail: self.sentence,
        };
        let mut response = (self.status, Json(problem)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(problem::CONTENT_TYPE));
        if passes {
            let asked = self.wait.filter(|wait| !wait.is_zero()).map(|wait| HeaderValue::from(wait.as_secs().max(1)));
            response.headers_mut().insert(RETRY_AFTER, asked.unwrap_or(SOON));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
