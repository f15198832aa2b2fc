//! The time line of a build, as a list and as a bar.

use jiff::Timestamp;

use crate::dispatcher::pages::moment::{Moment, took};
use crate::domain::timeline::{Stage, Step};

/// The smallest part of a bar that can be seen, in thousandths.
const SEEN: i64 = 8;

/// All of it.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) parts: Vec<Part>,
    /// From the claim to the end, or to now.
    pub(super) total: String,
    /// The last part is not over.
    pub(super) goes_on: bool,
}

/// One part.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) stage: &'static str,
    /// What happened in it.
    pub(super) meaning: &'static str,
    /// Where, of what has a node.
    pub(super) node: Option<String>,
    pub(super) took: String,
    pub(super) from: Moment,
    pub(super) goes_on: bool,
    /// Where it begins in the bar, and how long it is there: percent.
    pub(super) x: String,
    pub(super) width: String,
}

impl Course {
    /// None where nothing is known.
    pub(super) fn of(steps: &[Step], node: Option<&str>, now: Timestamp) -> Option<Self> {
        let first = steps.first()?;
        let ends: Vec<Timestamp> = steps.iter().map(|step| step.until.unwrap_or(now).max(step.from)).collect();
        let last = ends.last().copied().unwrap_or(now);
        let lengths = steps.iter().zip(&ends).map(|(step, end)| end.duration_since(step.from).as_millis());
        let widths = widths(&lengths.collect::<Vec<_>>());
        let begins = widths.iter().scan(0, |at, width| {
            let begin = *at;
            *at += width;
            Some(begin)
        });
        let places: Vec<(i64, i64)> = begins.zip(widths.iter().copied()).collect();
        let parts = steps.iter().zip(&ends).zip(places).map(|((step, end), (x, width))| Part {
            stage: step.stage.as_str(),
            meaning: meaning(step.stage),
            node: node.filter(|_| step.stage == Stage::Running).map(str::to_owned),
            took: took(step.from, *end),
            from: Moment::of(step.from, now),
            goes_on: step.until.is_none(),
            x: percent(x),
            width: percent(width),
        });
        let goes_on = steps.last().is_some_and(|step| step.until.is_none());
        Some(Self { parts: parts.collect(), total: took(first.from, last), goes_on })
    }
}

fn meaning(stage: Stage) -> &'static str {
    match stage {
        Stage::Held => "until somebody approved it",
        Stage::Waiting => "until its turn came",
        Stage::Queued => "until it had a node",
        Stage::Preparing => "until its script was started: image, checkout, caches",
        Stage::Running => "its script",
    }
}

/// Thousandths of the bar, all of it together: those that are too short to be seen are taken from the others.
fn widths(lengths: &[i128]) -> Vec<i64> {
    let total = lengths.iter().sum::<i128>().max(1);
    let share = |length: &i128| i64::try_from(length * 1000 / total).unwrap_or(0).max(SEEN);
    let shares: Vec<i64> = lengths.iter().map(share).collect();
    let all = shares.iter().sum::<i64>().max(1);
    shares.into_iter().map(|share| share * 1000 / all).collect()
}

fn percent(thousandths: i64) -> String {
    format!("{}.{}%", thousandths / 10, thousandths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(n: i64) -> Timestamp {
        Timestamp::from_second(n).unwrap()
    }

    #[test]
    fn parts_share_the_bar_by_their_length_and_none_is_lost() {
        let steps = [
            Step { stage: Stage::Queued, from: second(0), until: Some(second(10)) },
            Step { stage: Stage::Preparing, from: second(10), until: Some(second(10)) },
            Step { stage: Stage::Running, from: second(10), until: None },
        ];
        let course = Course::of(&steps, None, second(40)).unwrap();
        let told: Vec<_> = course.parts.iter().map(|part| (part.stage, part.took.as_str(), part.goes_on)).collect();
        assert_eq!(told, [("queued", "10s", false), ("preparing", "0s", false), ("running", "30s", true)]);
        assert_eq!((course.total.as_str(), course.goes_on), ("40s", true));
        let bar: Vec<_> = course.parts.iter().map(|part| (part.x.as_str(), part.width.as_str())).collect();
        assert_eq!(bar, [("0.0%", "24.8%"), ("24.8%", "0.7%"), ("25.5%", "74.4%")]);
        assert!(Course::of(&[], None, second(1)).is_none());
    }

    #[test]
    fn a_clock_behind_ours_breaks_no_bar() {
        let steps = [Step { stage: Stage::Queued, from: second(50), until: None }];
        let course = Course::of(&steps, None, second(40)).unwrap();
        assert_eq!((course.parts[0].took.as_str(), course.parts[0].width.as_str()), ("0s", "100.0%"));
    }
}
