//! serve, as the one build sees it that this controller is of.

use axum::http::StatusCode;
use bytes::Bytes;

use super::answer::Refusal;
use super::session::Decided;
use super::{App, Source};
use crate::api::session::{SessionError, SessionServer};
use crate::domain::id::ClaimId;
use crate::domain::log_chunk::{End, Stream};
use crate::domain::problem;
use crate::domain::report::Report;
use crate::domain::secret::Secret;

/// serve, with what the build's session is known by there.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) server: SessionServer,
    pub(crate) claim: ClaimId,
    pub(crate) secret: Secret,
}

impl Upstream {
    /// None for a build that serve knows nothing of. `made` is the secret that a session asked for is made with; one that
    /// was given has its own.
    pub(super) fn of(source: &Source, made: &Secret) -> Option<Self> {
        match source {
            Source::Server { server, claim, .. } => {
                Some(Self { server: server.clone(), claim: claim.clone(), secret: made.clone() })
            }
            Source::Given { grant, server } => {
                let (given, server) = (grant.session.as_ref()?, server.clone()?);
                Some(Self { server, claim: given.claim.clone(), secret: given.secret.clone() })
            }
            Source::Nowhere(_) => None,
        }
    }

    pub(super) async fn report(&self, report: &Report) -> Result<(), SessionError> {
        self.server.report(&self.claim, &self.secret, report).await
    }

    pub(super) async fn put_log(&self, stream: Stream, offset: u64, chunk: Bytes) -> Result<(), SessionError> {
        self.server.put_log(&self.claim, &self.secret, (stream, offset), chunk).await
    }

    pub(super) async fn end_log(&self, stream: Stream, end: End) -> Result<(), SessionError> {
        self.server.end_log(&self.claim, &self.secret, stream, end).await
    }
}

impl App {
    /// serve, for a build that has a session.
    ///
    /// # Errors
    /// 403 for one that has none, and why.
    pub(super) async fn link(&self) -> Result<&Upstream, Refusal> {
        let none = |why: &str| Refusal::forbidden(format!("this build has nothing from serve: {why}"));
        match self.decided().await? {
            Decided::Granted(_) => self.upstream.as_ref().ok_or_else(|| none("no server was named to it")),
            Decided::Without(reason) => Err(none(&reason)),
        }
    }
}

/// What serve's refusal means for who asked.
pub(super) fn refused(error: &SessionError) -> Refusal {
    let (problem, retry_after) = match error {
        SessionError::NoAnswer(cause) => {
            tracing::warn!(error = %cause, "serve gives no answer");
            return Refusal::waiting("serve does not answer: try again");
        }
        SessionError::Refused { problem, retry_after } => (problem, retry_after),
    };
    let said = problem.detail.as_str();
    match StatusCode::from_u16(problem.status) {
        Ok(StatusCode::NOT_FOUND) if problem.kind == problem::NO_STORE => {
            Refusal::of_kind(StatusCode::NOT_FOUND, problem::NO_STORE, said)
        }
        // Our secret, and not the caller's token, is what serve does not take.
        Ok(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Refusal::forbidden(format!("serve refuses: {said}")),
        Ok(StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) => Refusal::busy(said),
        Ok(StatusCode::INSUFFICIENT_STORAGE) => Refusal::new(StatusCode::INSUFFICIENT_STORAGE, said),
        Ok(status) if status.is_client_error() => Refusal::new(status, said),
        Ok(_) | Err(_) => {
            tracing::warn!(status = problem.status, ?retry_after, "serve has trouble");
            Refusal::waiting(format!("serve has trouble: {said}"))
        }
    }
}
