//! All rows, in the orders in which they are asked for: whatever part of a list is wanted stands together.

use std::cmp::Ordering;
use std::sync::Arc;

use super::row::{Origins, Row};
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::record::Done;
use crate::registry::{Index, Stored};

/// How two rows stand to each other in one of the orders.
type Order = fn(&Row, &Row) -> Ordering;

/// How many orders there are; each costs a row 8 bytes.
#[cfg(test)]
pub(super) const ORDERS: usize = 6;

/// Rows, sorted six times.
#[derive(Debug, Default)]
pub(crate) struct Table {
    origins: Origins,
    by_time: Vec<Arc<Row>>,
    by_repo: Vec<Arc<Row>>,
    by_ref: Vec<Arc<Row>>,
    by_build: Vec<Arc<Row>>,
    by_claim: Vec<Arc<Row>>,
    by_index: Vec<Arc<Row>>,
}

fn time(one: &Row, other: &Row) -> Ordering {
    one.by_time().cmp(&other.by_time())
}

fn repo(one: &Row, other: &Row) -> Ordering {
    one.by_repo().cmp(&other.by_repo())
}

fn git_ref(one: &Row, other: &Row) -> Ordering {
    one.by_ref().cmp(&other.by_ref())
}

fn build(one: &Row, other: &Row) -> Ordering {
    one.by_build().cmp(&other.by_build()).then_with(|| time(one, other))
}

fn claim(one: &Row, other: &Row) -> Ordering {
    one.by_claim().cmp(&other.by_claim())
}

fn index(one: &Row, other: &Row) -> Ordering {
    one.index().cmp(&other.index()).then_with(|| claim(one, other))
}

/// Puts a row into its place.
fn put(rows: &mut Vec<Arc<Row>>, row: &Arc<Row>, order: fn(&Row, &Row) -> Ordering) {
    let at = rows.partition_point(|other| order(other, row).is_lt());
    rows.insert(at, Arc::clone(row));
}

/// Those of a sorted part that stand together.
fn among(rows: &[Arc<Row>], place: impl Fn(&Row) -> Ordering) -> &[Arc<Row>] {
    let from = rows.partition_point(|row| place(row).is_lt());
    let until = rows.partition_point(|row| place(row).is_le());
    rows.get(from..until).unwrap_or_default()
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.by_claim.len()
    }

    /// Takes many at once; to be followed by [`Table::sort`].
    pub(super) fn fill(&mut self, part: &[(ClaimId, Stored<Done>)]) {
        let rows = part.iter().filter_map(|(claim, stored)| Row::of(claim, stored, &mut self.origins));
        self.by_claim.extend(rows.map(Arc::new));
    }

    /// Makes all orders of what was filled in.
    pub(super) fn sort(&mut self) {
        self.by_claim.shrink_to_fit();
        let all: [(&mut Vec<Arc<Row>>, Order); 5] = [
            (&mut self.by_time, time),
            (&mut self.by_repo, repo),
            (&mut self.by_ref, git_ref),
            (&mut self.by_build, build),
            (&mut self.by_index, index),
        ];
        for (rows, order) in all {
            rows.clone_from(&self.by_claim);
            rows.sort_unstable_by(|one, other| order(one, other));
        }
        self.by_claim.sort_unstable_by(|one, other| claim(one, other));
    }

    /// Takes one; gives it back where it is new, or another than before.
    pub(super) fn insert(&mut self, id: &ClaimId, stored: &Stored<Done>) -> Option<Arc<Row>> {
        if let Some(known) = self.claim(id) {
            if known.index() == stored.index {
                return None;
            }
            self.remove(|row| row.by_claim() == known.by_claim());
        }
        let row = Arc::new(Row::of(id, stored, &mut self.origins)?);
        put(&mut self.by_time, &row, time);
        put(&mut self.by_repo, &row, repo);
        put(&mut self.by_ref, &row, git_ref);
        put(&mut self.by_build, &row, build);
        put(&mut self.by_index, &row, index);
        put(&mut self.by_claim, &row, claim);
        Some(row)
    }

    /// Forgets those that are `gone`.
    pub(super) fn remove(&mut self, gone: impl Fn(&Row) -> bool) {
        let all = [
            &mut self.by_time,
            &mut self.by_repo,
            &mut self.by_ref,
            &mut self.by_build,
            &mut self.by_claim,
            &mut self.by_index,
        ];
        for rows in all {
            rows.retain(|row| !gone(row));
        }
        self.origins.tidy();
    }

    /// The newest index that a row has.
    pub(super) fn newest(&self) -> Option<Index> {
        self.by_index.last().map(|row| row.index())
    }

    pub(crate) fn claim(&self, id: &ClaimId) -> Option<Arc<Row>> {
        let wanted = Row::of_claim(id)?;
        among(&self.by_claim, |row| row.by_claim().cmp(&wanted)).first().cloned()
    }

    /// The newest row of a build.
    pub(crate) fn build(&self, id: &BuildId) -> Option<Arc<Row>> {
        let wanted = (Some(id.builder()), id.child());
        among(&self.by_build, |row| row.by_build().cmp(&wanted)).last().cloned()
    }

    /// All, oldest first.
    pub(crate) fn all(&self) -> &[Arc<Row>] {
        &self.by_time
    }

    /// Those of a repository, by its canonical address; oldest first.
    pub(crate) fn of_repo(&self, canonical: &str) -> &[Arc<Row>] {
        among(&self.by_repo, |row| row.canonical().cmp(canonical))
    }

    /// Those of a ref of a repository, oldest first.
    pub(crate) fn of_ref(&self, canonical: &str, git_ref: &str) -> &[Arc<Row>] {
        among(&self.by_ref, |row| (row.canonical(), row.git_ref()).cmp(&(canonical, git_ref)))
    }

    /// Those whose index is above `index`, in its order.
    pub(crate) fn above(&self, index: Index) -> &[Arc<Row>] {
        let from = self.by_index.partition_point(|row| row.index() <= index);
        self.by_index.get(from..).unwrap_or_default()
    }

    /// Whether a change has ended since an open record of it was written: then what is newer is here.
    pub(crate) fn is_newer(&self, id: &ClaimId, open: Index) -> bool {
        self.claim(id).is_some_and(|row| row.index() > open)
    }
}
