//! Who may ask what: a token has one right, and is good at one door.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use tokio::sync::Semaphore;

use super::answer::Refusal;
use super::served::Served;
use super::session::Session;
use super::{Phase, SharedApp};
use crate::domain::event::EventKind;

/// Readers of events at once at one door; each costs a connection.
const READERS: usize = 16;

/// Whose token it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// The script's.
    Script,
    /// That of `prepare` and the sidecar.
    Trusted,
}

impl Right {
    /// From when on its token is dead.
    pub(super) fn ends(self) -> Phase {
        match self {
            Self::Script => Phase::Finished,
            Self::Trusted => Phase::Ended,
        }
    }
}

/// What the routes of one entrance share; the only way to the [`super::App`] in it is a token.
#[derive(Debug, Clone)]
pub(crate) struct Door {
    app: SharedApp,
    right: Right,
    readers: Arc<Semaphore>,
}

impl Door {
    pub(super) fn new(app: SharedApp, right: Right) -> Self {
        Self { app, right, readers: Arc::new(Semaphore::new(READERS)) }
    }

    /// For counting alone.
    pub(super) fn served(&self) -> &Served {
        &self.app.served
    }

    fn admit(&self, parts: &Parts) -> Result<Right, Refusal> {
        let given = bearer(parts).ok_or_else(Refusal::unauthorized)?;
        // Both are compared, so that the time does not tell which one matched.
        let (script, trusted) = (self.app.tokens.script.matches(given), self.app.tokens.trusted.matches(given));
        let right = match (script, trusted) {
            (true, _) => Right::Script,
            (false, true) => Right::Trusted,
            (false, false) => return Err(Refusal::unauthorized()),
        };
        if *self.app.phase.borrow() >= right.ends() {
            return Err(Refusal::gone());
        }
        if right == self.right { Ok(right) } else { Err(Refusal::forbidden("this token is for another socket")) }
    }
}

fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, token) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then(|| token.trim())
}

/// The script asks.
#[derive(Debug)]
pub(crate) struct Script(pub(crate) SharedApp);

/// The script of a build that is no runner asks. What a workflow finds of its runner's token opens none of this: serve
/// refuses it as well, and here it is told at once.
#[derive(Debug)]
pub(crate) struct OfBuild(pub(crate) SharedApp);

/// `prepare` or the sidecar asks.
#[derive(Debug)]
pub(crate) struct Trusted(pub(crate) SharedApp);

/// One of both asks.
#[derive(Debug)]
pub(crate) struct Either {
    pub(crate) app: SharedApp,
    pub(crate) right: Right,
    pub(crate) readers: Arc<Semaphore>,
}

/// The controller of the build that started this service asks.
#[derive(Debug)]
pub(crate) struct Parent(pub(crate) SharedApp);

impl FromRequestParts<Door> for Parent {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Refusal> {
        let given = bearer(parts).ok_or_else(Refusal::unauthorized)?;
        let Session::Granted(granted) = door.app.session.borrow().clone() else {
            return Err(Refusal::unauthorized());
        };
        if !granted.grant.service_secret.as_ref().is_some_and(|secret| secret.matches(given)) {
            return Err(Refusal::unauthorized());
        }
        if *door.app.phase.borrow() != Phase::Running {
            return Err(Refusal::gone());
        }
        Ok(Self(Arc::clone(&door.app)))
    }
}

impl FromRequestParts<Door> for Script {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Refusal> {
        match door.admit(parts)? {
            Right::Script => Ok(Self(Arc::clone(&door.app))),
            Right::Trusted => Err(Refusal::forbidden("this is for the script alone")),
        }
    }
}

impl FromRequestParts<Door> for OfBuild {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Refusal> {
        let Script(app) = Script::from_request_parts(parts, door).await?;
        let event = match &*app.session.borrow() {
            Session::Granted(granted) => granted.grant.facts.event,
            Session::Waiting | Session::Without(_) | Session::Refused(_) => app.facts.event,
        };
        if event == Some(EventKind::WorkflowJob) {
            return Err(Refusal::forbidden("this build is a runner for a forge's workflows: use what the forge has"));
        }
        Ok(Self(app))
    }
}

impl FromRequestParts<Door> for Trusted {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Refusal> {
        match door.admit(parts)? {
            Right::Trusted => Ok(Self(Arc::clone(&door.app))),
            Right::Script => Err(Refusal::forbidden("this is not for the script")),
        }
    }
}

impl FromRequestParts<Door> for Either {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Refusal> {
        let right = door.admit(parts)?;
        Ok(Self { app: Arc::clone(&door.app), right, readers: Arc::clone(&door.readers) })
    }
}

/// For who asks for what there is not: with a token, that it is not there.
pub(super) async fn nowhere(_asked: Either) -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "there is nothing here: the paths begin with /v1")
}

/// The same for a path that is there, asked in another way.
pub(super) async fn otherwise(_asked: Either) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method")
}
