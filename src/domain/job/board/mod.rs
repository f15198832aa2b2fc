//! The jobs of one build, and what is to be done next: what of them may start, what never will, and what must stop.
//!
//! It says what should be, again and again, until what is seen agrees: whoever acts on it may fail and try again.

mod member;
#[cfg(test)]
mod tests;

use super::graph::{Graph, GraphError};
use super::view::JobView;
use super::{JobSpec, When};
use crate::domain::id::JobName;

pub use member::Seen;
use member::{At, Member, Need};

/// The jobs of one build.
#[derive(Debug, Default)]
pub struct Board {
    members: Vec<Member>,
    /// Why none is started any more.
    halted: Option<String>,
}

impl Board {
    /// Puts jobs on the board, all or none. Jobs that are there already and are the same change nothing.
    ///
    /// # Errors
    /// Names everything that is wrong with them.
    pub fn add(&mut self, jobs: Vec<JobSpec>) -> Result<(), GraphError> {
        let known: Vec<&JobSpec> = self.members.iter().map(|member| &member.spec).collect();
        let graph = Graph::check(jobs, &known)?;
        let member =
            |spec| Member { spec, at: At::Waiting, seen: Seen::default(), stop: None, told: false, was_ready: false };
        self.members.extend(graph.into_jobs().into_iter().map(member));
        self.settle();
        Ok(())
    }

    /// What serve says of a job.
    pub fn observe(&mut self, name: &JobName, seen: Seen) {
        if let Some(member) = self.member(name) {
            // Skipped ones were never sent: this is no news of them.
            if !matches!(member.at, At::Skipped { .. }) {
                member.was_ready |= seen.ready;
                member.at = if seen.ended { At::Ended } else { At::Open };
                member.seen = seen;
            }
        }
        self.settle();
    }

    /// serve will never start it, in its own words.
    pub fn refused(&mut self, name: &JobName, reason: &str) {
        self.over(name, "infra", reason);
    }

    /// serve does not know it, though it was to be stopped there: it never ran.
    pub fn unknown(&mut self, name: &JobName) {
        let reason = self.member(name).and_then(|member| member.stop.clone()).unwrap_or_default();
        self.over(name, "cancelled", &reason);
    }

    /// serve has taken it down that a job is to stop.
    pub fn told(&mut self, name: &JobName) {
        if let Some(member) = self.member(name) {
            member.told = true;
        }
    }

    /// Why a job has not been started yet, for people.
    pub fn trouble(&mut self, name: &JobName, reason: &str) {
        if let Some(member) = self.member(name).filter(|member| member.at == At::Starting) {
            reason.clone_into(&mut member.seen.reason);
        }
    }

    fn over(&mut self, name: &JobName, state: &str, reason: &str) {
        let (state, reason) = (state.to_owned(), reason.to_owned());
        self.observe(name, Seen { state, reason, ended: true, ..Seen::default() });
    }

    /// It is to be stopped; one that was not started never will be. False where there is none of that name.
    pub fn stop(&mut self, name: &JobName, reason: &str) -> bool {
        let Some(member) = self.member(name) else { return false };
        member.halt(reason);
        self.settle();
        true
    }

    /// All are to be stopped, and none is started any more.
    pub fn close(&mut self, reason: &str) {
        self.halted.get_or_insert_with(|| reason.to_owned());
        self.settle();
    }

    /// Those that serve is to start.
    pub fn starting(&self) -> impl Iterator<Item = &JobSpec> {
        let wanted = |member: &&Member| member.at == At::Starting && member.stop.is_none();
        self.members.iter().filter(wanted).map(|member| &member.spec)
    }

    /// Those that serve is to stop, and does not know of.
    pub fn stopping(&self) -> impl Iterator<Item = &JobName> {
        let open = |member: &&Member| matches!(member.at, At::Starting | At::Open);
        let wanted = move |member: &&Member| open(member) && member.stop.is_some() && !member.told;
        self.members.iter().filter(wanted).map(|member| &member.spec.name)
    }

    /// Whether nothing is under way: all have ended, or were skipped, or wait for what will never come.
    #[must_use]
    pub fn idle(&self) -> bool {
        !self.members.iter().any(|member| matches!(member.at, At::Starting | At::Open))
    }

    /// All jobs, in the order in which they were given.
    #[must_use]
    pub fn views(&self) -> Vec<JobView> {
        self.members.iter().map(Member::view).collect()
    }

    /// What a job is to do.
    #[must_use]
    pub fn spec(&self, name: &JobName) -> Option<&JobSpec> {
        self.members.iter().map(|member| &member.spec).find(|spec| spec.name == *name)
    }

    fn member(&mut self, name: &JobName) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.spec.name == *name)
    }

    /// Decides until there is nothing left to decide.
    fn settle(&mut self) {
        if self.halted.is_none() {
            let failed = self.members.iter().find(|member| member.ends_the_rest());
            self.halted = failed.map(|member| format!("job {} failed, and ends the rest", member.spec.name));
        }
        if let Some(reason) = &self.halted {
            for member in &mut self.members {
                member.halt(reason);
            }
            return;
        }
        loop {
            let decided: Vec<(usize, At)> = self
                .members
                .iter()
                .enumerate()
                .filter_map(|(number, member)| {
                    let next = (member.at == At::Waiting).then(|| self.decide(&member.spec))?;
                    (next != At::Waiting).then_some((number, next))
                })
                .collect();
            if decided.is_empty() {
                return;
            }
            for (number, next) in decided {
                if let Some(member) = self.members.get_mut(number) {
                    member.at = next;
                }
            }
        }
    }

    /// What becomes of a job that waits.
    fn decide(&self, job: &JobSpec) -> At {
        let needs = || {
            let members = job.needs.iter().filter_map(|need| self.members.iter().find(|it| it.spec.name == *need));
            members.map(|member| (&member.spec.name, member.need()))
        };
        let any = |what: Need| needs().find(|(_, need)| *need == what).map(|(name, _)| name);
        let skip = |reason: String, needless: bool| At::Skipped { reason, needless };
        match (job.when, any(Need::Pending), any(Need::Bad), any(Need::Needless)) {
            (When::Success, _, Some(bad), _) => skip(format!("it needs {bad}, which did not succeed"), false),
            (_, Some(_), ..) => At::Waiting,
            (When::Success, None, None, Some(other)) => skip(format!("it needs {other}, which was not needed"), true),
            (When::Failure, None, None, _) => skip("nothing that it needs has failed".to_owned(), true),
            (When::Success, None, None, None) | (When::Failure, None, Some(_), _) | (When::Always, None, ..) => {
                At::Starting
            }
        }
    }
}
