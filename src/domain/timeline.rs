//! What a build did when: held, waiting, queued, preparing, running, one after the other.

use jiff::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use super::placed::Placed;
use super::record::{Done, Phase, Record};

/// One part of a build's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Step {
    /// Which.
    pub stage: Stage,
    /// When it began.
    pub from: Timestamp,
    /// When it was over; none for the one that goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// The parts, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Until somebody approved it.
    Held,
    /// Until its turn came.
    Waiting,
    /// Until it had a node.
    Queued,
    /// Until its script was started.
    Preparing,
    /// Until it was over.
    Running,
}

impl Stage {
    /// In a word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Waiting => "waiting",
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Running => "running",
        }
    }
}

/// The moments that are known of a change.
#[derive(Debug, Clone, Copy)]
struct Moments<'a> {
    created: Timestamp,
    approved: Option<Timestamp>,
    let_through: Option<Timestamp>,
    placed: Option<&'a Placed>,
    started: Option<Timestamp>,
    finished: Option<Timestamp>,
}

/// Of a change that is not over, or not reported.
#[must_use]
pub fn of_record(record: &Record) -> Vec<Step> {
    let known = Moments {
        created: record.created,
        approved: record.approved,
        let_through: record.let_through,
        placed: record.placed.as_ref(),
        started: record.started,
        finished: record.finished,
    };
    let first = match record.phase {
        Phase::Held => Stage::Held,
        Phase::Waiting => Stage::Waiting,
        Phase::Claimed | Phase::Dispatched | Phase::Ended { .. } => Stage::Queued,
    };
    steps(known, first)
}

/// Of a change that is over.
#[must_use]
pub fn of_done(done: &Done) -> Vec<Step> {
    let known = Moments {
        created: done.created,
        approved: done.approved,
        let_through: done.let_through,
        placed: done.placed.as_ref(),
        started: done.started,
        finished: Some(done.finished),
    };
    steps(known, Stage::Queued)
}

/// `now` is what a change does of which nothing more is known than that it was claimed, or approved.
fn steps(known: Moments<'_>, now: Stage) -> Vec<Step> {
    let waited = if known.let_through.is_some() { Stage::Waiting } else { now };
    let first = if known.approved.is_some() { Stage::Held } else { waited };
    let begun = [
        Some((first, known.created)),
        known.approved.map(|at| (waited, at)),
        known.let_through.map(|at| (Stage::Queued, at)),
        known.placed.map(|placed| (Stage::Preparing, placed.at)),
        known.started.map(|at| (Stage::Running, at)),
    ];
    let mut steps: Vec<Step> = Vec::new();
    for (stage, at) in begun.into_iter().flatten() {
        // Clocks differ: a part never begins before the one that it follows.
        let from = steps.last().map_or(at, |last| last.from.max(at));
        if let Some(last) = steps.last_mut() {
            last.until = Some(from);
        }
        steps.push(Step { stage, from, until: None });
    }
    if let Some(last) = steps.last_mut() {
        last.until = known.finished.map(|at| at.max(last.from));
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    fn told(known: Moments<'_>, now: Stage) -> Vec<(&'static str, i64, Option<i64>)> {
        let told = |step: &Step| (step.stage.as_str(), step.from.as_second(), step.until.map(Timestamp::as_second));
        steps(known, now).iter().map(told).collect()
    }

    fn claimed() -> Moments<'static> {
        Moments { created: second(1), approved: None, let_through: None, placed: None, started: None, finished: None }
    }

    #[test]
    fn a_whole_build_is_told_from_its_claim_to_its_end() {
        let placed = Placed { at: second(4), node: "n".to_owned(), allocation: "a".to_owned() };
        let known =
            Moments { placed: Some(&placed), started: Some(second(7)), finished: Some(second(19)), ..claimed() };
        let plain = [("queued", 1, Some(4)), ("preparing", 4, Some(7)), ("running", 7, Some(19))];
        assert_eq!(told(known, Stage::Queued), plain);
        let known = Moments { approved: Some(second(2)), let_through: Some(second(3)), ..known };
        let all = [
            ("held", 1, Some(2)),
            ("waiting", 2, Some(3)),
            ("queued", 3, Some(4)),
            ("preparing", 4, Some(7)),
            ("running", 7, Some(19)),
        ];
        assert_eq!(told(known, Stage::Queued), all);
    }

    #[test]
    fn what_goes_on_has_no_end_yet() {
        assert_eq!(told(claimed(), Stage::Held), [("held", 1, None)]);
        assert_eq!(told(claimed(), Stage::Waiting), [("waiting", 1, None)]);
        assert_eq!(told(claimed(), Stage::Queued), [("queued", 1, None)]);
        let approved = Moments { approved: Some(second(5)), ..claimed() };
        assert_eq!(told(approved, Stage::Waiting), [("held", 1, Some(5)), ("waiting", 5, None)]);
    }

    #[test]
    fn a_node_with_a_wrong_clock_turns_no_time_back() {
        let known = Moments { let_through: Some(second(9)), started: Some(second(3)), ..claimed() };
        let known = Moments { finished: Some(second(5)), ..known };
        assert_eq!(
            told(known, Stage::Queued),
            [("waiting", 1, Some(9)), ("queued", 9, Some(9)), ("running", 9, Some(9))]
        );
    }
}
