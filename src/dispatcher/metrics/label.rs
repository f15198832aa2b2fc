//! Labels and their values: each value stands here, or is a route of ours, so nobody outside can add one.

use axum::extract::MatchedPath;
use axum::http::{HeaderMap, StatusCode};
use prometheus_client::encoding::EncodeLabelSet;

use crate::api::meter::label_words;
use crate::dispatcher::form::Form;
use crate::domain::blob::BlobKind;
use crate::domain::record::{Phase, Record};
use crate::domain::runners::Runner;

/// Which forge says that it sent a delivery; by its headers, which nobody has checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum HookForge {
    Gitea,
    Forgejo,
    Github,
    /// No forge's header: a delivery by hand.
    None,
}

label_words!(HookForge { Gitea => "gitea", Forgejo => "forgejo", Github => "github", None => "none" });

impl HookForge {
    pub(super) const ALL: [Self; 4] = [Self::Gitea, Self::Forgejo, Self::Github, Self::None];

    /// Forgejo sends Gitea's headers too, and Gitea GitHub's.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let known =
            [("x-forgejo-event", Self::Forgejo), ("x-gitea-event", Self::Gitea), ("x-github-event", Self::Github)];
        known.into_iter().find(|(header, _)| headers.contains_key(*header)).map_or(Self::None, |(_, forge)| forge)
    }
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum HookResult {
    /// A build was dispatched.
    Built,
    /// Claimed; the follower goes on.
    Accepted,
    /// Built before, or being built.
    Duplicate,
    /// Nothing to do.
    Ignored,
    /// Not built, by the commit's message or the configuration; the forge is told.
    Skipped,
    /// Waits for approval.
    Held,
    /// No or a wrong credential, or an unknown repository.
    Unauthorized,
    /// Could not be read, or a value was refused.
    Refused,
    /// Consul, Nomad or the configuration stood in the way.
    Failed,
}

label_words!(HookResult {
    Built => "built",
    Accepted => "accepted",
    Duplicate => "duplicate",
    Ignored => "ignored",
    Skipped => "skipped",
    Held => "held",
    Unauthorized => "unauthorized",
    Refused => "refused",
    Failed => "failed",
});

impl HookResult {
    pub(super) const ALL: [Self; 9] = [
        Self::Built,
        Self::Accepted,
        Self::Duplicate,
        Self::Ignored,
        Self::Skipped,
        Self::Held,
        Self::Unauthorized,
        Self::Refused,
        Self::Failed,
    ];
}

impl HookResult {
    /// What a status says that is none of success.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::UNAUTHORIZED => Self::Unauthorized,
            status if status.is_server_error() => Self::Failed,
            _ => Self::Refused,
        }
    }
}

/// The labels of hooks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct HookLabel {
    pub(crate) forge: HookForge,
    pub(crate) result: HookResult,
}

/// How each build can end, in [`crate::domain::outcome::Outcome::word`]s.
pub(super) const OUTCOMES: [&str; 9] =
    ["success", "failure", "oom", "timeout", "cancelled", "infra", "lost", "expired", "skipped"];

/// The label of ended builds: the outcome's word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OutcomeLabel {
    pub(super) outcome: &'static str,
}

/// What an open build does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum OpenState {
    /// Until somebody approves it.
    Held,
    /// Until its turn comes.
    Waiting,
    /// Until it has a node.
    Queued,
    /// Until its script is started.
    Preparing,
    /// Until it is over.
    Running,
    /// Until its end is reported and written down.
    Reporting,
}

label_words!(OpenState {
    Held => "held",
    Waiting => "waiting",
    Queued => "queued",
    Preparing => "preparing",
    Running => "running",
    Reporting => "reporting",
});

/// The label of open builds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct OpenLabel {
    pub(super) state: OpenState,
}

/// What became of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PostResult {
    /// The forge took it.
    Posted,
    /// It failed and is tried again.
    Retried,
    /// The forge refused it for good.
    GivenUp,
}

label_words!(PostResult { Posted => "posted", Retried => "retried", GivenUp => "given_up" });

impl PostResult {
    pub(super) const ALL: [Self; 3] = [Self::Posted, Self::Retried, Self::GivenUp];
}

/// The label of status posts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PostLabel {
    pub(crate) result: PostResult,
}

/// What became of a controller that asked for its session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum SessionResult {
    /// It has it.
    Granted,
    /// It has to ask again.
    Later,
    /// It gets none.
    Refused,
}

label_words!(SessionResult { Granted => "granted", Later => "later", Refused => "refused" });

impl SessionResult {
    pub(super) const ALL: [Self; 3] = [Self::Granted, Self::Later, Self::Refused];
}

/// The label of sessions.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SessionLabel {
    pub(crate) result: SessionResult,
}

/// Where bytes go that pass through this server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Direction {
    /// Into the store.
    In,
    /// Out of it.
    Out,
}

label_words!(Direction { In => "in", Out => "out" });

/// The labels of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct BytesLabel {
    pub(super) kind: &'static str,
    pub(super) direction: Direction,
}

impl BytesLabel {
    pub(super) fn of(kind: BlobKind, direction: Direction) -> Self {
        let kind = match kind {
            BlobKind::Artifact => "artifact",
            BlobKind::Cache => "cache",
        };
        Self { kind, direction }
    }
}

label_words!(Form { Page => "page", Text => "text", Json => "json", Events => "events" });

/// The first digit of a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Informed,
    Done,
    Elsewhere,
    Refused,
    Failed,
}

label_words!(Class {
    Informed => "1xx",
    Done => "2xx",
    Elsewhere => "3xx",
    Refused => "4xx",
    Failed => "5xx",
});

impl Class {
    pub(super) fn of(status: StatusCode) -> Self {
        match status.as_u16() {
            ..200 => Self::Informed,
            200..300 => Self::Done,
            300..400 => Self::Elsewhere,
            400..500 => Self::Refused,
            500.. => Self::Failed,
        }
    }
}

/// The labels of requests. The route is ours, with its placeholders; `none` where there is none for what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RequestLabel {
    route: String,
    form: Form,
    class: Class,
}

impl RequestLabel {
    pub(super) fn new(route: &RouteLabel, form: Form, status: StatusCode) -> Self {
        Self { route: route.route.clone(), form, class: Class::of(status) }
    }
}

/// The label of how long requests took.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RouteLabel {
    route: String,
}

impl RouteLabel {
    pub(super) fn of(matched: Option<&MatchedPath>) -> Self {
        Self { route: matched.map_or("none", MatchedPath::as_str).to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_is_told_by_the_header_that_none_of_the_others_sends() {
        let of = |names: &[&'static str]| {
            let headers = names.iter().map(|name| (name.parse().unwrap(), "push".parse().unwrap())).collect();
            HookForge::of(&headers).word()
        };
        assert_eq!(of(&["X-GitHub-Event", "X-Gitea-Event", "X-Forgejo-Event"]), "forgejo");
        assert_eq!(of(&["X-GitHub-Event", "X-Gogs-Event", "X-Gitea-Event"]), "gitea");
        assert_eq!(of(&["X-GitHub-Event"]), "github");
        assert_eq!(of(&["X-Evil-Event"]), "none");
    }
}

/// What a runner of a forge's workflows does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RunnerState {
    /// Until its pool has a place.
    Waiting,
    /// Until it is registered at its forge.
    Starting,
    /// Until it has a job.
    Idle,
    /// Until its job is over.
    Busy,
    /// Until it is gone everywhere.
    Ending,
}

label_words!(RunnerState {
    Waiting => "waiting",
    Starting => "starting",
    Idle => "idle",
    Busy => "busy",
    Ending => "ending",
});

impl RunnerState {
    pub(super) const ALL: [Self; 5] = [Self::Waiting, Self::Starting, Self::Idle, Self::Busy, Self::Ending];

    /// Of an open record.
    pub(super) fn of(record: &Record, runner: &Runner) -> Self {
        match record.phase {
            Phase::Ended { .. } => Self::Ending,
            _ if record.stop.is_some() => Self::Ending,
            Phase::Held | Phase::Waiting => Self::Waiting,
            Phase::Claimed | Phase::Dispatched if !runner.is_idle() => Self::Busy,
            Phase::Claimed | Phase::Dispatched if runner.registered.is_some() => Self::Idle,
            Phase::Claimed | Phase::Dispatched => Self::Starting,
        }
    }
}

/// The label of open runners.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct RunnerLabel {
    pub(super) state: RunnerState,
}

/// What became of a runner's registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RegistrationResult {
    /// The forge lists it.
    Registered,
    /// It has to be asked for again.
    Later,
    /// The forge refuses, or the configuration has no runners.
    Refused,
    /// Nobody needs it any more.
    Unneeded,
}

label_words!(RegistrationResult {
    Registered => "registered",
    Later => "later",
    Refused => "refused",
    Unneeded => "unneeded",
});

impl RegistrationResult {
    pub(super) const ALL: [Self; 4] = [Self::Registered, Self::Later, Self::Refused, Self::Unneeded];
}

/// The label of registrations.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RegistrationLabel {
    pub(crate) result: RegistrationResult,
}
