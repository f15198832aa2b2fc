//! Commit statuses: what the forge is told of a build.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::event::EventKind;
use super::id::{BuildId, ClaimId};
use super::outcome::{Outcome, Verdict};
use super::record::{Phase, Record, Stop, StopWhy};

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
    }
}

/// The status that a record asks for; `verdict` is what was last read of its child, where there is one.
///
/// Once a record has ended the answer depends on nothing but the record, so every replica gives the same.
#[must_use]
pub fn status_of(record: &Record, verdict: Option<&Verdict>) -> Status {
    match &record.phase {
        Phase::Held => pending("Waiting for approval", ""),
        Phase::Claimed => pending("Queued", ""),
        Phase::Ended { outcome } => last(record, outcome),
        Phase::Dispatched => match verdict {
            None => pending("Queued", ""),
            Some(verdict) => underway(verdict, record.stop.as_ref()),
        },
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

fn why_stopped(stop: &Stop) -> &str {
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
        Outcome::Success => State::Success,
        Outcome::Failure { .. } | Outcome::Oom { .. } | Outcome::Timeout | Outcome::Cancelled { .. } => State::Failure,
        Outcome::Infra { .. } | Outcome::Lost { .. } | Outcome::Expired => State::Error,
    };
    Status { state, description: one_line(&sentence(outcome, took(record, outcome))), last: true }
}

/// How long the executor ran; a time-out that we enforced is told by its limit, not by when Nomad had done it.
fn took(record: &Record, outcome: &Outcome) -> Option<SignedDuration> {
    let limit = record.stop.as_ref().filter(|stop| *outcome == Outcome::Timeout && stop.why == StopWhy::Timeout);
    let end = limit.map(|stop| stop.at).or(record.finished)?;
    Some(end.duration_since(record.started?).max(SignedDuration::ZERO))
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
    }
}

/// The two largest units: `4s`, `2m30s`, `1h`.
fn for_people(span: SignedDuration) -> String {
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

/// The build's page, or its claim's as long as there is no build. `key` lets a reader of the status into a private one.
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
    if let (Some(_), Some(key)) = (build, key) {
        url.query_pairs_mut().append_pair("key", key);
    }
    Some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CREATED: i64 = 1_766_000_000;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(CREATED + seconds).expect("in range")
    }

    fn record(phase: Phase) -> Record {
        serde_json::from_value(serde_json::json!({
            "version": 1, "nonce": "n", "repo": "http://git.example/a/b", "canonical": "http://git.example/a/b",
            "ref": "refs/heads/main", "branch": "main", "before": "", "commit": "1".repeat(40), "flavor": "default",
            "event": "push", "sender": {"login": "quentin"}, "trusted": false, "private": false,
            "builder": "builder", "namespace": "ci", "meta": {}, "created": at(0).to_string(),
            "phase": serde_json::to_value(phase).expect("a phase"),
        }))
        .expect("a record")
    }

    fn ended(outcome: Outcome, started: i64, finished: i64) -> Record {
        let mut record = record(Phase::Ended { outcome });
        record.started = Some(at(started));
        record.finished = Some(at(finished));
        record
    }

    #[test]
    fn every_outcome_has_its_word_and_sentence() {
        let infra = Outcome::Infra { reason: "the image is missing".to_owned() };
        let by = Outcome::Cancelled { by: "quentin".to_owned() };
        for (outcome, state, text) in [
            (Outcome::Success, State::Success, "Successful in 12s"),
            (Outcome::Failure { exit_code: 3, signal: 0 }, State::Failure, "Failed with exit 3 after 12s"),
            (Outcome::Failure { exit_code: 137, signal: 9 }, State::Failure, "Failed by signal 9 after 12s"),
            (Outcome::Oom { exit_code: 137 }, State::Failure, "Out of memory"),
            (Outcome::Timeout, State::Failure, "Timed out after 12s"),
            (by, State::Failure, "Cancelled by quentin"),
            (infra, State::Error, "the image is missing"),
            (Outcome::Lost { reason: "node gone".to_owned() }, State::Error, "node gone"),
            (Outcome::Expired, State::Error, "Nomad no longer knows this build"),
        ] {
            let status = status_of(&ended(outcome, 5, 17), None);
            assert_eq!(status, Status { state, description: text.to_owned(), last: true });
        }
    }

    #[test]
    fn nothing_that_is_not_over_is_final() {
        let verdicts = [
            (None, "Queued"),
            (Some(Verdict::Queued { reason: "memory".to_owned() }), "Queued: memory"),
            (Some(Verdict::Queued { reason: String::new() }), "Queued"),
            (Some(Verdict::Unplaceable { reason: "kernel".to_owned() }), "No node can take it: kernel"),
            (Some(Verdict::Preparing), "Preparing"),
            (Some(Verdict::Running), "Running"),
            (Some(Verdict::Ended(Outcome::Success)), "Ending"),
        ];
        for (verdict, text) in verdicts {
            let status = status_of(&record(Phase::Dispatched), verdict.as_ref());
            assert_eq!(status, Status { state: State::Pending, description: text.to_owned(), last: false });
        }
        assert_eq!(status_of(&record(Phase::Held), None).description, "Waiting for approval");
    }

    #[test]
    fn a_time_out_of_ours_is_told_by_its_limit() {
        let mut record = ended(Outcome::Timeout, 5, 5 + 3_617);
        record.stop = Some(Stop { why: StopWhy::Timeout, by: "the time limit".to_owned(), at: at(5 + 3_600) });
        assert_eq!(status_of(&record, None).description, "Timed out after 1h");
    }

    #[test]
    fn a_clock_that_went_back_gives_no_negative_time() {
        assert_eq!(status_of(&ended(Outcome::Success, 20, 10), None).description, "Successful in 0s");
    }

    #[test]
    fn spans_are_told_by_their_two_largest_units() {
        for (seconds, text) in
            [(0, "0s"), (59, "59s"), (60, "1m"), (90, "1m30s"), (3_605, "1h"), (3_660, "1h1m"), (90_000, "1d1h")]
        {
            assert_eq!(for_people(SignedDuration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn branch_tag_and_pull_request_have_contexts_of_their_own() {
        let mut one = record(Phase::Held);
        one.flavor = "big".parse().expect("a flavor");
        let mut contexts = Vec::new();
        for event in [EventKind::Push, EventKind::Tag, EventKind::PullRequest] {
            one.event = event;
            contexts.push(context(&one));
        }
        assert_eq!(contexts, ["Albatros big", "Albatros big (tag)", "Albatros big (pull request)"]);
    }

    #[test]
    fn a_long_or_broken_reason_stays_one_short_line() {
        let reason = format!("a\nb\u{7}{}", "ü".repeat(300));
        let text = status_of(&ended(Outcome::Infra { reason }, 0, 1), None).description;
        assert!(text.starts_with("a b ü"), "{text}");
        assert_eq!(text.chars().count(), MAX_DESCRIPTION);
    }

    #[test]
    fn the_link_leads_to_the_build_or_to_its_claim() {
        let claim: ClaimId = "a".repeat(64).parse().expect("a claim");
        let build: BuildId = "team/builder/dispatch-1766000000-1a2b3c4d".parse().expect("a build");
        let link = |base: &str, build: Option<&BuildId>, key| {
            target_url(&base.parse().expect("a URL"), &claim, build, key).map(String::from)
        };
        assert_eq!(
            link("https://ci.example/sub/", Some(&build), Some("k1")).as_deref(),
            Some("https://ci.example/sub/builds/team%2Fbuilder/dispatch-1766000000-1a2b3c4d?key=k1")
        );
        assert_eq!(
            link("https://ci.example", Some(&build), None).as_deref(),
            Some("https://ci.example/builds/team%2Fbuilder/dispatch-1766000000-1a2b3c4d")
        );
        let address = format!("https://ci.example/builds/claim/{claim}");
        assert_eq!(link("https://ci.example", None, Some("k1")), Some(address));
    }
}
