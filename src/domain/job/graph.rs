//! Jobs and what they need of each other, checked before any of them is started.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::rules::{self, Fault};
use super::{JobSpec, When};
use crate::domain::id::JobName;

/// Jobs of one build.
pub const JOBS_MOST: usize = 50;

/// Why jobs are not started: everything that is wrong with them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct GraphError(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing to do.
    #[error("there is no job")]
    None,
    /// More than [`JOBS_MOST`].
    #[error("{0} jobs: a build may have {JOBS_MOST}")]
    TooMany(usize),
    /// Two jobs of one name, or another one of that name was started before.
    #[error("job {0}: its name is used twice")]
    Twice(JobName),
    /// It needs what there is not.
    #[error("job {job} needs {need}, which there is not")]
    Unknown {
        /// Which.
        job: JobName,
        /// What it needs.
        need: JobName,
    },
    /// Each needs the next one, and the last one the first.
    #[error("jobs need each other in a circle: {}", circle(.0))]
    Cycle(Vec<JobName>),
    /// `when: failure`, and nothing that could fail.
    #[error("job {0}: `when: failure` is for a job that needs others")]
    NothingFails(JobName),
    /// Artifacts are written once.
    #[error("jobs {first} and {second} both put the artifact {artifact}")]
    PutTwice {
        /// The one.
        first: JobName,
        /// The other.
        second: JobName,
        /// What.
        artifact: String,
    },
    /// It takes what another may not have put yet.
    #[error("job {job} gets the artifact {artifact} of job {of}, but does not need {of}")]
    GetsEarly {
        /// Which.
        job: JobName,
        /// What.
        artifact: String,
        /// Whose.
        of: JobName,
    },
    /// A job that is wrong by itself.
    #[error("job {job}: {fault}")]
    Fault {
        /// Which.
        job: JobName,
        /// Why.
        fault: Fault,
    },
}

fn circle(names: &[JobName]) -> String {
    let names = names.iter().chain(names.first());
    names.map(JobName::as_str).collect::<Vec<_>>().join(" → ")
}

/// Jobs of which each can be started once those that it needs have ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph(Vec<JobSpec>);

impl Graph {
    /// Checks jobs, beside those that the build has already: these may be needed. A job that is there already and is the
    /// same is left out, so that jobs may be sent again.
    ///
    /// # Errors
    /// Names everything that is wrong.
    pub fn check(jobs: Vec<JobSpec>, known: &[&JobSpec]) -> Result<Self, GraphError> {
        let mut problems = Vec::new();
        if jobs.is_empty() {
            problems.push(Problem::None);
        }
        let fresh: Vec<JobSpec> = jobs.into_iter().filter(|job| !known.contains(&job)).collect();
        let all: Vec<&JobSpec> = known.iter().copied().chain(&fresh).collect();
        if all.len() > JOBS_MOST {
            problems.push(Problem::TooMany(all.len()));
            return Err(GraphError(problems));
        }
        let mut seen = BTreeSet::new();
        for job in &all {
            if !seen.insert(&job.name) {
                problems.push(Problem::Twice(job.name.clone()));
            }
        }
        for job in &fresh {
            problems
                .extend(rules::faults(job).into_iter().map(|fault| Problem::Fault { job: job.name.clone(), fault }));
            if job.when == When::Failure && job.needs.is_empty() {
                problems.push(Problem::NothingFails(job.name.clone()));
            }
            let unknown = job.needs.iter().filter(|need| !seen.contains(need));
            problems.extend(unknown.map(|need| Problem::Unknown { job: job.name.clone(), need: need.clone() }));
        }
        let reach = Reach::of(&all);
        problems.extend(reach.cycle().map(Problem::Cycle));
        problems.extend(artifacts(&all, &reach));
        if problems.is_empty() { Ok(Self(fresh)) } else { Err(GraphError(problems)) }
    }

    /// The jobs, as they were given.
    #[must_use]
    pub fn into_jobs(self) -> Vec<JobSpec> {
        self.0
    }

    /// The jobs in the order in which they can be started: each needs only jobs of stages before its own.
    #[must_use]
    pub fn stages(&self) -> Vec<Vec<&JobSpec>> {
        let own: BTreeSet<&JobName> = self.0.iter().map(|job| &job.name).collect();
        let (mut done, mut left): (BTreeSet<&JobName>, Vec<&JobSpec>) = (BTreeSet::new(), self.0.iter().collect());
        let mut stages = Vec::new();
        while !left.is_empty() {
            let free = |job: &&JobSpec| job.needs.iter().all(|need| done.contains(need) || !own.contains(need));
            let (stage, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(free);
            if stage.is_empty() {
                break;
            }
            done.extend(stage.iter().map(|job| &job.name));
            stages.push(stage);
            left = rest;
        }
        stages
    }
}

/// Which jobs each one needs, directly and by others.
struct Reach<'a>(BTreeMap<&'a JobName, Vec<&'a JobName>>);

impl<'a> Reach<'a> {
    fn of(jobs: &[&'a JobSpec]) -> Self {
        let mut needs: BTreeMap<&JobName, Vec<&JobName>> = BTreeMap::new();
        for job in jobs {
            needs.entry(&job.name).or_default().extend(&job.needs);
        }
        Self(needs)
    }

    fn direct(&self, job: &JobName) -> &[&'a JobName] {
        self.0.get(job).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether `job` needs `other`, or something that does.
    fn needs(&self, job: &'a JobName, other: &JobName) -> bool {
        let (mut seen, mut open) = (BTreeSet::new(), vec![job]);
        while let Some(one) = open.pop() {
            for need in self.direct(one) {
                if *need == other {
                    return true;
                }
                if seen.insert(*need) {
                    open.push(need);
                }
            }
        }
        false
    }

    /// One circle, if there is any; none that leads back to its first name is shorter.
    fn cycle(&self) -> Option<Vec<JobName>> {
        let first = self.0.keys().copied().find(|job| self.needs(job, job))?;
        let (mut from, mut open) = (BTreeMap::new(), VecDeque::from([first]));
        while let Some(at) = open.pop_front() {
            if self.direct(at).contains(&first) {
                let mut circle: Vec<JobName> =
                    std::iter::successors(Some(at), |at| from.get(at).copied()).cloned().collect();
                circle.reverse();
                return Some(circle);
            }
            for need in self.direct(at) {
                if *need != first && !from.contains_key(need) {
                    from.insert(*need, at);
                    open.push_back(need);
                }
            }
        }
        None
    }
}

/// Artifacts that two put, and those that one gets of a job it does not need.
fn artifacts(jobs: &[&JobSpec], reach: &Reach<'_>) -> Vec<Problem> {
    let (mut problems, mut makers) = (Vec::new(), BTreeMap::new());
    for job in jobs {
        for leave in &job.put {
            if let Some(first) = makers.insert(&leave.artifact, &job.name) {
                let (first, second) = (first.clone(), job.name.clone());
                problems.push(Problem::PutTwice { first, second, artifact: leave.artifact.to_string() });
            }
        }
    }
    for job in jobs {
        for take in &job.get {
            let Some(of) = makers.get(&take.artifact) else { continue };
            if !reach.needs(&job.name, of) {
                let (job, of) = (job.name.clone(), (*of).clone());
                problems.push(Problem::GetsEarly { job, artifact: take.artifact.to_string(), of });
            }
        }
    }
    problems
}
