//! Commit statuses: what the forge is told of a build.

mod standing;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::event::EventKind;
use super::id::{BuildId, ClaimId};
use super::outcome::{Outcome, Verdict};
use super::record::{Phase, Record, Stop, StopWhy};
use super::report::TestCounts;
use super::runner::NOT_KEPT;

pub use standing::{Listed, Standing, is_anothers, standing};

/// Characters of a description; GitHub takes no more.
const MAX_DESCRIPTION: usize = 140;

/// The words both Gitea and GitHub know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not over.
    Pending,
    /// Green.
    Success,
    /// The build's own doing.
    Failure,
    /// Not the build's doing.
    Error,
}

impl State {
    /// `pending`, `success`, `failure` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// One status: state and sentence. Context and link follow from the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The word.
    pub state: State,
    /// One line for people, at most 140 characters.
    pub description: String,
    /// Whether it is the last one.
    #[serde(rename = "final")]
    pub last: bool,
}

/// What was intended and what arrived, in that order: after the final intent nothing else is posted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// Written before the post is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intended: Option<Status>,
    /// The last that the forge confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirmed: Option<Status>,
    /// When it was given up, and why; the build itself is not touched by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<GivenUp>,
}

/// A status that the forge refused for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// When.
    pub at: Timestamp,
    /// The sentence, without anything secret.
    pub why: String,
}

/// What a forge shows beside the status; branch, tag and pull request differ, so that none satisfies the others'
/// required check.
#[must_use]
pub fn context(record: &Record) -> String {
    let flavor = &record.flavor;
    match record.event {
        EventKind::Push => format!("Albatros {flavor}"),
        EventKind::Tag => format!("Albatros {flavor} (tag)"),
        EventKind::PullRequest => format!("Albatros {flavor} (pull request)"),
        EventKind::WorkflowJob => format!("Albatros {flavor} (runner)"),
    }
}

/// The status that a record asks for; `verdict` is what was last read of its child, where there is one.
///
/// Once a record has ended the answer depends on nothing but the record, so every replica gives the same.
#[must_use]
pub fn status_of(record: &Record, verdict: Option<&Verdict>) -> Status {
    match &record.phase {
        Phase::Held => pending("Waiting for approval", ""),
        Phase::Waiting => pending("Waiting for its turn", why_waiting(verdict)),
        Phase::Claimed => pending("Queued", ""),
        Phase::Ended { outcome } => last(record, outcome),
        Phase::Dispatched => match verdict {
            None => pending("Queued", ""),
            Some(verdict) => underway(verdict, record.stop.as_ref()),
        },
    }
}

/// Why a change has to wait, as far as that is known.
fn why_waiting(verdict: Option<&Verdict>) -> &str {
    match verdict {
        Some(Verdict::Open { reason, .. }) => reason,
        Some(_) | None => "",
    }
}

/// What a build that is not over is told as.
fn underway(verdict: &Verdict, stop: Option<&Stop>) -> Status {
    if let Some(stop) = stop {
        return pending("Stopping", why_stopped(stop));
    }
    match verdict {
        // The record does not say so yet; the final status comes from the record alone.
        Verdict::Ended(_) => pending("Ending", ""),
        Verdict::Queued { reason } => pending("Queued", reason),
        Verdict::Unplaceable { reason } => pending("No node can take it", reason),
        Verdict::Preparing => pending("Preparing", ""),
        Verdict::Running => pending("Running", ""),
        Verdict::Open { reason, .. } => pending("Waiting", reason),
    }
}

/// What a dispatched record that is not over was last told as: good enough for a list, which asks no engine.
#[must_use]
pub fn last_told(record: &Record) -> Verdict {
    let told = record.statuses.intended.as_ref().map(|status| status.description.as_str()).unwrap_or_default();
    let (word, reason) = told.split_once(": ").unwrap_or((told, ""));
    match word {
        "Preparing" => Verdict::Preparing,
        "No node can take it" => Verdict::Unplaceable { reason: reason.to_owned() },
        "Queued" => Verdict::Queued { reason: reason.to_owned() },
        _ => Verdict::Queued { reason: String::new() },
    }
}

/// Why a build is being stopped, for people.
#[must_use]
pub fn why_stopped(stop: &Stop) -> &str {
    match stop.why {
        StopWhy::Cancel => "cancelled",
        StopWhy::Timeout => "its time is over",
        StopWhy::Queue => "too long in the queue",
        StopWhy::Lost => "its node is out of reach",
        StopWhy::Superseded => "a newer change took its place",
        StopWhy::Parent => "the build that started it has ended",
    }
}

fn pending(word: &str, reason: &str) -> Status {
    let text = if reason.is_empty() { word.to_owned() } else { format!("{word}: {reason}") };
    Status { state: State::Pending, description: one_line(&text), last: false }
}

/// The final status of a record that has ended so.
fn last(record: &Record, outcome: &Outcome) -> Status {
    let state = match outcome {
        Outcome::Success | Outcome::Skipped { .. } => State::Success,
        Outcome::Failure { .. } | Outcome::Oom { .. } | Outcome::Timeout | Outcome::Cancelled { .. } => State::Failure,
        Outcome::Infra { .. } | Outcome::Lost { .. } | Outcome::Expired => State::Error,
    };
    let told = with_trouble(sentence(outcome, took(record, outcome)), outcome, record.trouble.as_deref());
    let told = with_tests(told, outcome, record.tests);
    Status { state, description: one_line(&told), last: true }
}

/// How long the executor ran; a time-out that we enforced is told by its limit, not by when Nomad had done it.
fn took(record: &Record, outcome: &Outcome) -> Option<SignedDuration> {
    let limit = record.stop.as_ref().filter(|stop| *outcome == Outcome::Timeout && stop.why == StopWhy::Timeout);
    let end = limit.map(|stop| stop.at).or(record.finished)?;
    Some(end.duration_since(record.started?).max(SignedDuration::ZERO))
}

/// A sentence on how a build ended, or in its place why one ended whose script did well.
#[must_use]
pub fn with_trouble(sentence: String, outcome: &Outcome, trouble: Option<&str>) -> String {
    let not_kept = Outcome::Failure { exit_code: i64::from(NOT_KEPT), signal: 0 };
    match trouble.filter(|_| *outcome == not_kept) {
        Some(trouble) => format!("Failed: {trouble}"),
        None => sentence,
    }
}

/// A sentence on how a build ended, and what its tests came to where that says something about it.
#[must_use]
pub fn with_tests(sentence: String, outcome: &Outcome, tests: Option<TestCounts>) -> String {
    let ran = matches!(outcome, Outcome::Success | Outcome::Failure { .. });
    match tests.filter(|_| ran).and_then(|tests| tests.sentence()) {
        Some(tests) => format!("{sentence}, {tests}"),
        None => sentence,
    }
}

/// How a build ended, in one sentence for people: `Successful in 12s`, `Failed with exit 3 after 4s`.
#[must_use]
pub fn sentence(outcome: &Outcome, took: Option<SignedDuration>) -> String {
    let within = |word: &str| took.map(|took| format!(" {word} {}", for_people(took))).unwrap_or_default();
    match outcome {
        Outcome::Success => format!("Successful{}", within("in")),
        Outcome::Failure { exit_code, signal: 0 } => format!("Failed with exit {exit_code}{}", within("after")),
        Outcome::Failure { signal, .. } => format!("Failed by signal {signal}{}", within("after")),
        Outcome::Oom { .. } => "Out of memory".to_owned(),
        Outcome::Timeout => format!("Timed out{}", within("after")),
        Outcome::Cancelled { by } if by.is_empty() => "Cancelled".to_owned(),
        Outcome::Cancelled { by } => format!("Cancelled by {by}"),
        Outcome::Infra { reason } if reason.is_empty() => "Failed for a reason outside the script".to_owned(),
        Outcome::Lost { reason } if reason.is_empty() => "Lost with its node".to_owned(),
        Outcome::Infra { reason } | Outcome::Lost { reason } => reason.clone(),
        Outcome::Expired => "Nomad no longer knows this build".to_owned(),
        Outcome::Skipped { reason } => format!("Skipped: {reason}"),
    }
}

/// How long, in the two largest units: `4s`, `2m30s`, `1h`.
pub(crate) fn for_people(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    let units = [(days, "d"), (hours, "h"), (minutes, "m"), (seconds, "s")];
    let text: String = units
        .iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count != 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Without control characters, and as long as GitHub takes.
fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.chars().count() <= MAX_DESCRIPTION {
        return clean;
    }
    let mut cut: String = clean.chars().take(MAX_DESCRIPTION - 1).collect();
    cut.push('…');
    cut
}

/// The build's page, or its claim's as long as there is no build. `key` (of the build, or of the claim) lets a reader of the status into a private one.
/// None where `base` cannot have a path.
#[must_use]
pub fn target_url(base: &Url, claim: &ClaimId, build: Option<&BuildId>, key: Option<&str>) -> Option<Url> {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    {
        let mut path = url.path_segments_mut().ok()?;
        path.pop_if_empty().push("builds");
        match build {
            Some(build) => path.push(build.builder()).push(build.child()),
            None => path.push("claim").push(claim.as_str()),
        };
    }
    if let Some(key) = key {
        url.query_pairs_mut().append_pair("key", key);
    }
    Some(url)
}

#[cfg(test)]
mod tests;
