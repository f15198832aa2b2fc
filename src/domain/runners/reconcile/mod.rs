//! What is to be done so that each queued job gets one runner, and no runner is left over: from what the forge lists and
//! what the registry has, to actions.
//!
//! A forge tells of jobs late, twice or never, and a runner may take another job than the one that it was started for. So
//! runners are counted, not matched: as many idle ones as there are queued jobs. What looks superfluous once may be a read
//! between two changes; it is ended when it looks so twice.

use std::collections::{BTreeSet, HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use super::plan::short;
use super::{JobAt, Pool, Runner, pool_for};
use crate::domain::config::ForgeKind;
use crate::domain::id::{ClaimId, CommitSha};
use crate::domain::record::{Phase, Record};

/// Runners of a pool that may wait at once; what is queued beyond that gets its own when these are through.
const MOST_IDLE: usize = 256;
/// What was registered so shortly before a list was asked for may be missing in it.
const LISTED_AFTER: SignedDuration = SignedDuration::from_secs(10);

/// A job of a workflow as a forge tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenJob {
    /// Which.
    pub at: JobAt,
    /// Its `runs-on`.
    pub labels: Vec<String>,
    /// How far it is.
    pub state: SeenState,
    /// Of which commit.
    pub commit: Option<CommitSha>,
    /// Of which branch.
    pub branch: Option<String>,
    /// Whether its repository is private, where that is told.
    pub private: Option<bool>,
    /// Who started its run, where that is told.
    pub sender: Option<String>,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenState {
    /// It waits for other jobs, or for a person.
    Waiting,
    /// It waits for a runner.
    Queued,
    /// A runner has it.
    InProgress(ByRunner),
    /// It is over.
    Completed(ByRunner),
}

/// The runner that a job has, as far as it is told.
pub type ByRunner = Option<(u64, String)>;

/// A runner as a forge lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenRunner {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// It has a job; Gitea says so only while it reports.
    pub busy: bool,
}

/// Everything that is known of a scope at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// Which forge.
    pub kind: ForgeKind,
    /// The pools of the scope.
    pub pools: &'a [Pool],
    /// Jobs that are queued or in progress.
    pub jobs: &'a [SeenJob],
    /// All runners of the scope.
    pub runners: &'a [SeenRunner],
    /// Whether these are all jobs that there are, as far as was asked.
    pub all_jobs: bool,
    /// Whether these are all runners that there are.
    pub all_runners: bool,
    /// The open records of the scope's runners, read after the forge's lists.
    pub records: &'a [(ClaimId, Record)],
    /// [`super::scope_tag`] of the scope.
    pub tag: &'a str,
    /// When the forge was about to be asked.
    pub asked: Timestamp,
}

/// What looked superfluous when it was last looked at. Losing it costs one look more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    surplus: BTreeSet<ClaimId>,
    unlisted: BTreeSet<ClaimId>,
    left_over: BTreeSet<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A job needs a runner.
    Claim {
        /// The job's place among those that were seen.
        job: usize,
        /// Its pool's place.
        pool: usize,
    },
    /// A runner has taken a job: which, where that is known.
    Take {
        /// The runner's.
        claim: ClaimId,
        /// The job's number.
        job: Option<u64>,
    },
    /// Nobody needs this runner.
    End {
        /// The runner's.
        claim: ClaimId,
    },
    /// The forge has let go of this runner: whatever it does has no effect any more.
    Stop {
        /// The runner's.
        claim: ClaimId,
    },
    /// The forge lists a runner of ours that nobody knows.
    Remove {
        /// Its number at the forge.
        id: u64,
        /// Its name there.
        name: String,
    },
}

/// How a runner stands.
enum Standing {
    /// Being stopped, or over.
    Leaving,
    Idle,
    Taken,
}

/// Compares what the forge lists with what the registry has.
#[must_use]
pub fn reconcile(seen: &Seen<'_>, before: &Before) -> (Vec<Action>, Before) {
    let (mut actions, mut next) = (Vec::new(), Before::default());
    let mut idle: Vec<(&ClaimId, &Record, &Runner)> = Vec::new();
    for (claim, record) in seen.records {
        let Some(runner) = record.runner.as_deref() else { continue };
        match stand(seen, before, &mut next, (claim, record, runner), &mut actions) {
            Standing::Idle => idle.push((claim, record, runner)),
            Standing::Taken | Standing::Leaving => {}
        }
    }
    let wanted = queued(seen);
    for (place, pool) in seen.pools.iter().enumerate() {
        let of_pool = |runner: &Runner| pool.has_labels(&runner.labels);
        let theirs: Vec<_> = idle.iter().filter(|(.., runner)| of_pool(runner)).copied().collect();
        let jobs = wanted.get(&place).map(Vec::as_slice).unwrap_or_default();
        claims(seen, place, jobs, &theirs, &mut actions);
        surplus(seen, jobs, theirs, (before, &mut next), &mut actions);
    }
    let orphans = idle.iter().filter(|(.., runner)| !seen.pools.iter().any(|pool| pool.has_labels(&runner.labels)));
    surplus(seen, &[], orphans.copied().collect(), (before, &mut next), &mut actions);
    left_over(seen, before, &mut next, &mut actions);
    (actions, next)
}

/// How one runner stands, by its record, the forge's list of runners and its jobs.
fn stand(
    seen: &Seen<'_>,
    before: &Before,
    next: &mut Before,
    (claim, record, runner): (&ClaimId, &Record, &Runner),
    actions: &mut Vec<Action>,
) -> Standing {
    if record.stop.is_some() || matches!(record.phase, Phase::Ended { .. }) {
        return Standing::Leaving;
    }
    let job = seen.jobs.iter().find(|job| match &job.state {
        // By its name, which is ours alone; what is told without one is told of nobody.
        SeenState::InProgress(Some((_, name))) => *name == runner.name,
        SeenState::InProgress(None) | SeenState::Waiting | SeenState::Queued | SeenState::Completed(_) => false,
    });
    let listed = seen.runners.iter().find(|one| one.name == runner.name);
    if job.is_some() || listed.is_some_and(|one| one.busy) {
        if runner.is_idle() {
            actions.push(Action::Take { claim: claim.clone(), job: job.map(|job| job.at.id) });
        }
        return Standing::Taken;
    }
    let is_old = runner.registering.is_some_and(|at| at.saturating_add(LISTED_AFTER).is_ok_and(|at| at < seen.asked));
    if seen.all_runners && runner.registered.is_some() && listed.is_none() && is_old {
        // It is through with its job, or somebody has removed it; a runner that does not know goes on for ever.
        if before.unlisted.contains(claim) {
            actions.push(Action::Stop { claim: claim.clone() });
        }
        next.unlisted.insert(claim.clone());
        return Standing::Taken;
    }
    if runner.is_idle() { Standing::Idle } else { Standing::Taken }
}

/// The queued jobs of each pool, as the forge lists them.
fn queued(seen: &Seen<'_>) -> HashMap<usize, Vec<usize>> {
    let mut all: HashMap<usize, Vec<usize>> = HashMap::new();
    for (place, job) in seen.jobs.iter().enumerate().filter(|(_, job)| job.state == SeenState::Queued) {
        let pool = pool_for(seen.pools, seen.kind, &job.labels);
        let found = pool.and_then(|pool| seen.pools.iter().position(|one| std::ptr::eq(one, pool)));
        if let Some(pool) = found {
            all.entry(pool).or_default().push(place);
        }
    }
    all
}

type Idle<'a> = (&'a ClaimId, &'a Record, &'a Runner);

/// Asks for as many runners as there are fewer idle ones than jobs, for those jobs first that have none of their own.
fn claims(seen: &Seen<'_>, pool: usize, jobs: &[usize], idle: &[Idle<'_>], actions: &mut Vec<Action>) {
    let missing = jobs.len().min(MOST_IDLE).saturating_sub(idle.len());
    let own: HashSet<u64> = idle.iter().map(|(.., runner)| runner.job.id).collect();
    let has_none = |place: &&usize| seen.jobs.get(**place).is_some_and(|job| !own.contains(&job.at.id));
    let mut jobs: Vec<usize> = jobs.iter().filter(has_none).copied().collect();
    jobs.sort_by_key(|place| seen.jobs.get(*place).map(|job| job.at.id));
    actions.extend(jobs.into_iter().take(missing).map(|job| Action::Claim { job, pool }));
}

/// Ends as many idle runners as there are more than jobs: first those that cost nothing yet.
fn surplus(
    seen: &Seen<'_>,
    jobs: &[usize],
    mut idle: Vec<Idle<'_>>,
    (before, next): (&Before, &mut Before),
    actions: &mut Vec<Action>,
) {
    if !seen.all_jobs {
        // Whom nobody seems to need may be needed by what was not read.
        return;
    }
    let too_many = idle.len().saturating_sub(jobs.len());
    let is_queued = |id: u64| jobs.iter().filter_map(|place| seen.jobs.get(*place)).any(|job| job.at.id == id);
    idle.sort_by_key(|(claim, record, runner)| {
        let cost = match record.phase {
            Phase::Held | Phase::Waiting => 0,
            Phase::Claimed => 1,
            Phase::Dispatched | Phase::Ended { .. } => 2 + u8::from(runner.registering.is_some()),
        };
        (is_queued(runner.job.id), cost, std::cmp::Reverse(record.created), (*claim).clone())
    });
    for (claim, _, runner) in idle.into_iter().take(too_many) {
        if before.surplus.contains(claim) || runner.unneeded.is_some() {
            actions.push(Action::End { claim: claim.clone() });
        }
        next.surplus.insert(claim.clone());
    }
}

/// Runners with our tag of which no open record knows, and that have no job.
fn left_over(seen: &Seen<'_>, before: &Before, next: &mut Before, actions: &mut Vec<Action>) {
    if !seen.all_jobs || !seen.all_runners {
        return;
    }
    let works = |one: &SeenRunner| {
        let names = |job: &SeenJob| matches!(&job.state, SeenState::InProgress(Some((_, name))) if *name == one.name);
        one.busy || seen.jobs.iter().any(names)
    };
    let known: HashSet<&str> = seen.records.iter().map(|(claim, _)| short(claim)).collect();
    for runner in seen.runners {
        let Some(of_claim) = claim_in(&runner.name, seen.tag) else { continue };
        if known.contains(of_claim) || works(runner) {
            continue;
        }
        if before.left_over.contains(&runner.id) {
            actions.push(Action::Remove { id: runner.id, name: runner.name.clone() });
        }
        next.left_over.insert(runner.id);
    }
}

/// The part of a claim in a name of ours; none in the name of anybody else's runner.
fn claim_in<'a>(name: &'a str, tag: &str) -> Option<&'a str> {
    let (rest, claim) = name.rsplit_once('-')?;
    let (_, own) = rest.rsplit_once('-')?;
    let is_ours =
        own == tag && claim.len() == 12 && claim.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    is_ours.then_some(claim)
}

#[cfg(test)]
mod tests;
