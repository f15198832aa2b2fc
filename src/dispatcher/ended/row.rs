//! One ended change, as small as a list allows: what many share is kept once, ids as bytes, what is rare in a box.
//!
//! A row takes some 380 bytes, so that 70,000, a week of 10,000 a day, take 26 MB. A test counts them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use crate::domain::event::{EventKind, Sender};
use crate::domain::id::{BuildId, ClaimId, Flavor, JobName};
use crate::domain::job::Parent;
use crate::domain::outcome::Outcome;
use crate::domain::placed::Placed;
use crate::domain::record::{Done, VERSION};
use crate::domain::repo_url::RepoUrl;
use crate::domain::report::TestCounts;
use crate::domain::runners::Runner;
use crate::registry::{Index, Stored};

/// What many builds have in common.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(super) canonical: String,
    pub(super) repo: String,
    pub(super) git_ref: String,
    pub(super) flavor: Flavor,
    pub(super) event: EventKind,
    pub(super) pull_request: Option<u64>,
    pub(super) sender: Option<(String, Option<u64>)>,
    pub(super) private: bool,
    pub(super) trusted: bool,
    pub(super) builder: Option<String>,
    pub(super) node: Option<String>,
}

/// What few builds have.
#[derive(Debug, Default, PartialEq)]
struct Rest {
    approved: Option<Timestamp>,
    params: BTreeMap<String, String>,
    retry_of: Option<ClaimId>,
    tests: Option<TestCounts>,
    trouble: Option<String>,
    parent: Option<Parent>,
    runner: Option<Box<Runner>>,
    jobs: BTreeMap<JobName, ClaimId>,
}

/// Nanoseconds since 1970, until the year 2262; the least number is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

/// Up to 32 bytes that are written as hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Hex {
    bytes: [u8; 32],
    len: u8,
}

/// An ended change.
#[derive(Debug)]
pub(crate) struct Row {
    claim: Hex,
    commit: Hex,
    origin: Arc<Origin>,
    /// The part of its id behind the builder.
    child: Box<str>,
    allocation: Box<str>,
    outcome: Outcome,
    index: Index,
    created: Moment,
    let_through: Moment,
    placed: Moment,
    started: Moment,
    finished: Moment,
    rest: Option<Box<Rest>>,
}

/// The origins that are in use.
#[derive(Debug, Default)]
pub(super) struct Origins(HashSet<Arc<Origin>>);

impl Origins {
    fn of(&mut self, origin: Origin) -> Arc<Origin> {
        if let Some(known) = self.0.get(&origin) {
            return Arc::clone(known);
        }
        let new = Arc::new(origin);
        self.0.insert(Arc::clone(&new));
        new
    }

    /// Forgets those that no row has any more.
    pub(super) fn tidy(&mut self) {
        self.0.retain(|origin| Arc::strong_count(origin) > 1);
    }
}

impl Row {
    /// What a list shows of an ended change; the rest of it (session, hashes, what other versions wrote) is left out.
    pub(super) fn of(claim: &ClaimId, stored: &Stored<Done>, origins: &mut Origins) -> Option<Self> {
        let done = &stored.value;
        let canonical = done.repo.parse::<RepoUrl>().map_or_else(|_| done.repo.clone(), |url| url.canonical().into());
        let origin = Origin {
            canonical,
            repo: done.repo.clone(),
            git_ref: done.git_ref.clone(),
            flavor: done.flavor.clone(),
            event: done.event,
            pull_request: done.pull_request,
            sender: done.sender.as_ref().map(|sender| (sender.login.clone(), sender.id)),
            private: done.private,
            trusted: done.trusted,
            builder: done.build.as_ref().map(|build| build.builder().to_owned()),
            node: done.placed.as_ref().map(|placed| placed.node.clone()),
        };
        let rest = Rest {
            approved: done.approved,
            params: done.params.clone(),
            retry_of: done.retry_of.clone(),
            tests: done.tests,
            trouble: done.trouble.clone(),
            parent: done.parent.clone(),
            runner: done.runner.clone(),
            jobs: done.jobs.clone(),
        };
        Some(Self {
            claim: Hex::of(claim.as_str())?,
            commit: Hex::of(done.commit.as_str())?,
            origin: origins.of(origin),
            child: done.build.as_ref().map(BuildId::child).unwrap_or_default().into(),
            allocation: done.placed.as_ref().map(|placed| placed.allocation.as_str()).unwrap_or_default().into(),
            outcome: done.outcome.clone(),
            index: stored.index,
            created: Moment::of(Some(done.created)),
            let_through: Moment::of(done.let_through),
            placed: Moment::of(done.placed.as_ref().map(|placed| placed.at)),
            started: Moment::of(done.started),
            finished: Moment::of(Some(done.finished)),
            rest: (rest != Rest::default()).then(|| Box::new(rest)),
        })
    }

    pub(crate) fn index(&self) -> Index {
        self.index
    }

    pub(crate) fn created(&self) -> Timestamp {
        self.created.told().unwrap_or_default()
    }

    pub(crate) fn is_private(&self) -> bool {
        self.origin.private
    }

    /// REPO_URL.
    pub(crate) fn repo(&self) -> &str {
        &self.origin.repo
    }

    pub(crate) fn git_ref(&self) -> &str {
        &self.origin.git_ref
    }

    pub(crate) fn flavor(&self) -> &str {
        self.origin.flavor.as_str()
    }

    pub(crate) fn event(&self) -> EventKind {
        self.origin.event
    }

    /// The login of who started it.
    pub(crate) fn sender(&self) -> Option<&str> {
        self.origin.sender.as_ref().map(|(login, _)| login.as_str())
    }

    pub(crate) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub(crate) fn is_job(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| rest.parent.is_some())
    }

    /// Whether it ran for a forge's workflow.
    pub(crate) fn is_runner(&self) -> bool {
        self.origin.event == EventKind::WorkflowJob
    }

    pub(crate) fn claim(&self) -> Option<ClaimId> {
        self.claim.digits().parse().ok()
    }

    pub(crate) fn build(&self) -> Option<BuildId> {
        let builder = self.origin.builder.as_ref()?;
        format!("{builder}/{}", self.child).parse().ok()
    }

    /// The change as far as a list shows it.
    pub(crate) fn shown(&self) -> Option<(ClaimId, Done)> {
        let origin = &self.origin;
        let none = Rest::default();
        let rest = self.rest.as_deref().unwrap_or(&none);
        let placed = self.placed.told().map(|at| Placed {
            at,
            node: origin.node.clone().unwrap_or_default(),
            allocation: self.allocation.to_string(),
        });
        let done = Done {
            version: VERSION,
            build: self.build(),
            outcome: self.outcome.clone(),
            created: self.created(),
            approved: rest.approved,
            let_through: self.let_through.told(),
            placed,
            started: self.started.told(),
            finished: self.finished.told().unwrap_or_default(),
            repo: origin.repo.clone(),
            git_ref: origin.git_ref.clone(),
            before: String::new(),
            commit: self.commit.digits().parse().ok()?,
            flavor: origin.flavor.clone(),
            event: origin.event,
            pull_request: origin.pull_request,
            sender: origin.sender.clone().map(|(login, id)| Sender { login, id }),
            params: rest.params.clone(),
            retry_of: rest.retry_of.clone(),
            private: origin.private,
            trusted: origin.trusted,
            kept: false,
            tests: rest.tests,
            trouble: rest.trouble.clone(),
            parent: rest.parent.clone(),
            runner: rest.runner.clone(),
            job_hash: None,
            needs: Vec::new(),
            jobs: rest.jobs.clone(),
            session: None,
            other: serde_json::Map::new(),
        };
        Some((self.claim()?, done))
    }

    /// The order of a list.
    pub(super) fn by_time(&self) -> (Moment, Hex) {
        (self.created, self.claim)
    }

    /// The order within a repository, and within all.
    pub(super) fn by_repo(&self) -> (&str, (Moment, Hex)) {
        (&self.origin.canonical, self.by_time())
    }

    pub(super) fn by_ref(&self) -> ((&str, &str), (Moment, Hex)) {
        ((&self.origin.canonical, &self.origin.git_ref), self.by_time())
    }

    pub(super) fn by_build(&self) -> (Option<&str>, &str) {
        (self.origin.builder.as_deref(), &self.child)
    }

    pub(super) fn by_claim(&self) -> Hex {
        self.claim
    }

    pub(super) fn of_claim(claim: &ClaimId) -> Option<Hex> {
        Hex::of(claim.as_str())
    }

    pub(crate) fn canonical(&self) -> &str {
        &self.origin.canonical
    }

    /// Bytes of memory that this row alone takes, its part of the indexes included.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        /// What an allocator adds to each piece.
        const PIECE: usize = 16;
        let texts = self.child.len() + self.allocation.len() + 3 * PIECE;
        let counts = 2 * size_of::<usize>();
        let rest = self.rest.as_ref().map_or(0, |_| size_of::<Rest>() + PIECE);
        size_of::<Self>() + counts + texts + rest + super::table::ORDERS * size_of::<Arc<Self>>()
    }
}

impl Moment {
    fn of(at: Option<Timestamp>) -> Self {
        Self(at.and_then(|at| i64::try_from(at.as_nanosecond()).ok()).unwrap_or(i64::MIN))
    }

    fn told(self) -> Option<Timestamp> {
        if self.0 == i64::MIN { None } else { Timestamp::from_nanosecond(self.0.into()).ok() }
    }
}

impl Hex {
    fn of(digits: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let len = digits.len() / 2;
        hex::decode_to_slice(digits, bytes.get_mut(..len)?).ok()?;
        Some(Self { bytes, len: u8::try_from(len).ok()? })
    }

    fn digits(&self) -> String {
        hex::encode(self.bytes.get(..self.len.into()).unwrap_or_default())
    }
}
