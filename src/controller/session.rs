//! What the build was given, as far as it is known.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use tokio::time::timeout;

use super::answer::Refusal;
use super::{App, Phase};
use crate::domain::grant::Grant;
use crate::domain::params::{Params, ParamsError};
use crate::domain::problem;

/// How long a request waits for the session to be decided.
const HELD: Duration = Duration::from_secs(20);

/// A build's session.
#[derive(Debug, Clone)]
pub(crate) enum Session {
    /// Not decided yet.
    Waiting,
    /// This is what the build may have.
    Granted(Arc<Granted>),
    /// None, and why: the build runs without secrets.
    Without(Arc<str>),
    /// The build cannot go on.
    Refused(Dead),
}

/// Why a build cannot go on.
#[derive(Debug, Clone)]
pub(crate) struct Dead {
    /// One of [`problem`]'s.
    pub(super) kind: &'static str,
    pub(super) sentence: Arc<str>,
}

/// A grant, its parameters read once.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(super) grant: Grant,
    pub(super) params: Result<Params, ParamsError>,
}

impl Session {
    pub(super) fn granted(grant: Grant) -> Self {
        // What is no env file is told to who asks for a parameter; it may still be sourced as it stands.
        let params = grant.inject.as_ref().map_or(Ok(Params::default()), |text| Params::parse(text.expose()));
        Self::Granted(Arc::new(Granted { grant, params }))
    }

    pub(super) fn without(reason: impl Into<String>) -> Self {
        Self::Without(Arc::from(reason.into()))
    }

    pub(super) fn commit_gone(sentence: &str) -> Self {
        Self::Refused(Dead { kind: problem::COMMIT_GONE, sentence: Arc::from(sentence) })
    }

    pub(super) fn no_answer(sentence: impl Into<String>) -> Self {
        Self::Refused(Dead { kind: problem::NO_ANSWER, sentence: Arc::from(sentence.into()) })
    }
}

/// A session that is decided, and lets the build run.
#[derive(Debug, Clone)]
pub(crate) enum Decided {
    /// This is what the build may have.
    Granted(Arc<Granted>),
    /// None, and why.
    Without(Arc<str>),
}

impl App {
    /// The session, once it is decided; a request is held for it, for a while.
    pub(super) async fn decided(&self) -> Result<Decided, Refusal> {
        let (mut session, mut phase) = (self.session.subscribe(), self.phase.subscribe());
        let decided = session.wait_for(|session| !matches!(session, Session::Waiting));
        let now = tokio::select! {
            decided = timeout(HELD, decided) => match decided {
                Ok(Ok(session)) => session.clone(),
                Ok(Err(_closed)) => return Err(Refusal::gone()),
                Err(_elapsed) => Session::Waiting,
            },
            _ = phase.wait_for(|phase| *phase == Phase::Ended) => return Err(Refusal::gone()),
        };
        match now {
            Session::Waiting => Err(Refusal::waiting("serve has not answered yet: ask again")),
            Session::Granted(granted) => Ok(Decided::Granted(granted)),
            Session::Without(reason) => Ok(Decided::Without(reason)),
            Session::Refused(dead) => {
                Err(Refusal::of_kind(StatusCode::UNPROCESSABLE_ENTITY, dead.kind, dead.sentence.as_ref()))
            }
        }
    }
}
