//! Whose turn it is: which of a repository's waiting changes go on, and why the others do not.
//!
//! Jobs that builds start neither wait nor count: a build that waited for a job that waits for the build would not end.

use std::collections::HashMap;

use jiff::Timestamp;

use super::id::ClaimId;
use super::record::{Phase, Record};

/// The open changes of each repository as they stand in line.
#[derive(Debug, Default)]
pub struct Lines<'a>(HashMap<Key<'a>, Line<'a>>);

/// The canonical address, and of runners the labels of their pool: each pool is a line of its own.
type Key<'a> = (&'a str, Option<&'a [String]>);

fn key(record: &Record) -> Key<'_> {
    (&record.canonical, record.runner.as_deref().map(|runner| runner.labels.as_slice()))
}

/// The open changes of one repository.
#[derive(Debug, Default)]
pub struct Line<'a> {
    repo: &'a str,
    pool: Option<&'a [String]>,
    under_way: usize,
    /// Who came first is first.
    waiting: Vec<Place<'a>>,
}

/// Who came at the same time stands by the claim, so that every replica sees the same order.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    since: Timestamp,
    claim: &'a ClaimId,
}

/// How far one that waits is, as who lets it through knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not known yet whether it is to be built. Its place is kept.
    Deciding,
    /// The same, and it takes long: the others need not wait for it.
    Stuck,
    /// It could go on.
    Ready,
    /// It was told to go on, and the list does not show it yet.
    Granted,
}

/// What is to be told to those who are ready.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Turns<'a> {
    /// They go on.
    pub go: Vec<&'a ClaimId>,
    /// They wait on.
    pub wait: Vec<&'a ClaimId>,
}

impl<'a> Lines<'a> {
    /// Of all open records.
    pub fn of(open: impl IntoIterator<Item = (&'a ClaimId, &'a Record)>) -> Self {
        let mut lines: HashMap<Key<'_>, Line<'_>> = HashMap::new();
        for (claim, record) in open.into_iter().filter(|(_, record)| record.parent.is_none()) {
            let line = lines.entry(key(record)).or_default();
            (line.repo, line.pool) = (&record.repo, key(record).1);
            match record.phase {
                Phase::Claimed | Phase::Dispatched => line.under_way += 1,
                // What is being stopped takes no turn any more.
                Phase::Waiting if record.stop.is_none() => {
                    line.waiting.push(Place { since: waits_since(record), claim });
                }
                Phase::Waiting | Phase::Held | Phase::Ended { .. } => {}
            }
        }
        for line in lines.values_mut() {
            line.waiting.sort();
        }
        Self(lines)
    }

    /// Those in which somebody waits.
    pub fn with_waiting(&self) -> impl Iterator<Item = &Line<'a>> {
        self.0.values().filter(|line| !line.waiting.is_empty())
    }

    /// Why a change waits, for people; `max` is its repository's `concurrency.max`.
    #[must_use]
    pub fn why(&self, claim: &ClaimId, record: &Record, max: Option<u32>) -> String {
        let line = self.0.get(&key(record));
        let before = line.and_then(|line| line.waiting.iter().position(|place| place.claim == claim));
        let (Some(line), Some(before), Some(max)) = (line, before, max) else { return String::new() };
        let what = match (record.runner.is_some(), max) {
            (true, 1) => "runner of this pool",
            (true, _) => "runners of this pool",
            (false, 1) => "build of this repository",
            (false, _) => "builds of this repository",
        };
        let full = format!("{} of {max} {what} are under way", line.under_way);
        match before {
            0 => full,
            1 => format!("{full}, 1 change is before it"),
            before => format!("{full}, {before} changes are before it"),
        }
    }
}

impl<'a> Line<'a> {
    /// REPO_URL of one of its changes.
    #[must_use]
    pub fn repo(&self) -> &'a str {
        self.repo
    }

    /// The labels of the pool whose runners these are; none of builds.
    #[must_use]
    pub fn pool(&self) -> Option<&'a [String]> {
        self.pool
    }

    /// Whose turn it is, oldest first, if `max` builds may be under way; none means any number. What was granted and
    /// is not shown yet counts as under way.
    #[must_use]
    pub fn turns(&self, max: Option<u32>, standing: impl Fn(&ClaimId) -> Standing) -> Turns<'a> {
        let standings: Vec<(&ClaimId, Standing)> =
            self.waiting.iter().map(|place| (place.claim, standing(place.claim))).collect();
        let granted = standings.iter().filter(|(_, standing)| *standing == Standing::Granted).count();
        let most = max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
        let mut free = most.saturating_sub(self.under_way.saturating_add(granted));
        let mut turns = Turns::default();
        for (claim, standing) in standings {
            match standing {
                Standing::Granted | Standing::Stuck => {}
                Standing::Deciding => free = free.saturating_sub(1),
                Standing::Ready if free > 0 => {
                    free -= 1;
                    turns.go.push(claim);
                }
                Standing::Ready => turns.wait.push(claim),
            }
        }
        turns
    }
}

/// Since when it stands in line: since it was approved, or else claimed. Its queue limit counts from here, too.
#[must_use]
pub fn waits_since(record: &Record) -> Timestamp {
    record.approved.unwrap_or(record.created)
}

/// What a forge is told of one that waits; without its place in the line, which changes too often for a forge.
#[must_use]
pub fn limit_sentence(max: u32) -> String {
    let builds = if max == 1 { "build" } else { "builds" };
    format!("{max} {builds} of this repository at a time")
}

#[cfg(test)]
mod tests;
