//! A webhook's delivery: what was sent, and what it comes down to.
//!
//! ```text
//! Incoming ─▶ json_text ─▶ peek ─▶ (configuration, verify) ─▶ parse ─▶ Event
//! ```

mod body;
mod gitea;
mod github;
mod job;
mod origin;
mod own;
mod pull;
mod push;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use super::event::{Event, EventKind};
use super::id::Flavor;
use super::json::{JsonError, shown};
use super::percent;
use super::repo_url::RepoUrlError;
use super::verify::Verified;

pub use body::{json_text, peek};
pub use job::ListedJob;
pub use origin::{Origin, Tested};
pub use own::own_test;
pub use pull::{Opened, opened};

/// The event of a job of the forge's own workflows.
const WORKFLOW_JOB: &str = "workflow_job";

/// What a test delivery is answered.
pub const TEST: &str = "a test delivery, all is well";

/// A request as it came over the wire, nothing of it trusted.
#[derive(Debug, Clone, Copy)]
pub struct Incoming<'a> {
    /// Names in any case, values as sent.
    pub headers: &'a [(String, String)],
    /// What stands behind the `?`.
    pub query: &'a str,
    /// The raw body.
    pub body: &'a [u8],
}

/// Why a delivery is not taken.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(Cow<'static, str>),
    /// The body is not JSON as it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The repository's address is none.
    #[error(transparent)]
    Repository(#[from] RepoUrlError),
    /// The payload is not what its event promises.
    #[error("the body is not a {event} delivery as the forge documents it")]
    Payload {
        /// Which event.
        event: &'static str,
        /// What the reader says.
        #[source]
        source: serde_json::Error,
    },
    /// A content type that no forge sends.
    #[error("expected JSON, or a form with a `payload`")]
    Unsupported,
    /// Understood, but with a value that is not taken.
    #[error("{0}")]
    Unprocessable(String),
}

/// What a refusal is to HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 400.
    BadRequest,
    /// 415.
    Unsupported,
    /// 422.
    Unprocessable,
}

impl DeliveryError {
    /// Which answer this is.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::BadRequest(_) | Self::Json(_) | Self::Repository(_) | Self::Payload { .. } => Class::BadRequest,
            Self::Unsupported => Class::Unsupported,
            Self::Unprocessable(_) => Class::Unprocessable,
        }
    }
}

/// The same header twice: two readers could take it for two different things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header {0} stands twice")]
pub struct DoubleHeader(pub &'static str);

impl From<DoubleHeader> for DeliveryError {
    fn from(double: DoubleHeader) -> Self {
        Self::BadRequest(double.to_string().into())
    }
}

impl<'a> Incoming<'a> {
    /// A header's value.
    ///
    /// # Errors
    /// When it is there more than once.
    pub fn header(&self, name: &'static str) -> Result<Option<&'a str>, DoubleHeader> {
        let mut values = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let first = values.next().map(|(_, value)| value.as_str());
        if values.next().is_some() { Err(DoubleHeader(name)) } else { Ok(first) }
    }

    /// The values of a name in the query, decoded.
    #[must_use]
    pub fn query_values(&self, name: &str) -> Vec<Option<String>> {
        percent::form_values(self.query.as_bytes(), name)
    }

    /// `?flavor=`, or `default`.
    ///
    /// # Errors
    /// When it is given twice or is no flavor.
    pub fn flavor(&self) -> Result<Flavor, DeliveryError> {
        match self.query_values("flavor").as_slice() {
            [] => Ok(Flavor::default()),
            [Some(one)] => one.parse().map_err(|why: super::id::IdError| DeliveryError::Unprocessable(why.to_string())),
            [None] => Err(DeliveryError::Unprocessable("flavor: not UTF-8".to_owned())),
            [_, _, ..] => Err(DeliveryError::BadRequest("the flavor is given twice".into())),
        }
    }
}

/// Who speaks, told by the first of these headers that is there: Gitea sends GitHub's too, Forgejo all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forge {
    Gitea,
    Github,
}

const EVENT_HEADERS: [(&str, Forge); 3] =
    [("X-Gitea-Event", Forge::Gitea), ("X-Forgejo-Event", Forge::Gitea), ("X-GitHub-Event", Forge::Github)];

fn event_name<'a>(incoming: &Incoming<'a>) -> Result<Option<(Forge, &'a str)>, DoubleHeader> {
    for (header, forge) in EVENT_HEADERS {
        if let Some(name) = incoming.header(header)? {
            return Ok(Some((forge, name)));
        }
    }
    Ok(None)
}

/// Whether it says that it is of a job of the forge's own workflows, so that an entry for more than its repository may
/// be the one to verify it.
///
/// # Errors
/// When a header stands twice.
pub fn is_of_job(incoming: &Incoming<'_>) -> Result<bool, DoubleHeader> {
    Ok(event_name(incoming)?.is_some_and(|(_, name)| name == WORKFLOW_JOB))
}

/// Reads a verified delivery in full. Without an event header it is a push as Gitea sends it.
///
/// # Errors
/// When the payload is not what the header promises, or holds a value that is not taken.
pub fn parse(incoming: &Incoming<'_>, verified: &Verified<'_>) -> Result<Event, DeliveryError> {
    let json = verified.bytes();
    match event_name(incoming)? {
        None => push::read(json),
        Some((_, "push")) => push::read(json).map(or_test),
        Some((_, "ping")) => Ok(Event::Test),
        Some((Forge::Gitea, "pull_request" | "pull_request_sync")) => gitea::pull_request(json),
        Some((Forge::Github, "pull_request")) => github::pull_request(json),
        Some((_, WORKFLOW_JOB)) => job::read(json),
        Some((_, name)) => Ok(other(name)),
    }
}

/// Gitea's button for a test sends a push that changes nothing, which no push of git does.
fn or_test(event: Event) -> Event {
    match event {
        Event::Change(change) if change.before.eq_ignore_ascii_case(change.commit.as_str()) => Event::Test,
        Event::Change(_) | Event::Job(_) | Event::PullClosed { .. } | Event::Test | Event::Ignored { .. } => event,
    }
}

fn other(name: &str) -> Event {
    let reason = match name {
        "" => "an event without a name is not built".to_owned(),
        "create" => "create: the push itself is built".to_owned(),
        "delete" => "delete: a ref was deleted, there is nothing to build".to_owned(),
        "status" => "status: a commit status is no change".to_owned(),
        _ => format!("{}: this event is not built", shown(name)),
    };
    Event::Ignored { kind: None, reason }
}

fn ignored(kind: EventKind, reason: impl Into<String>) -> Event {
    Event::Ignored { kind: Some(kind), reason: reason.into() }
}
