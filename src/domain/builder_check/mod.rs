//! What hurts in a builder, before it hurts: pure checks of a job, a file a family of findings.
//!
//! The job comes from Nomad's JSON (`/v1/jobs/parse`, `/v1/job/<name>`) or from [`super::job_file`], where Nomad cannot
//! be asked; lines and what is not known come from the file.

mod cluster;
mod contract;
mod credentials;
mod expansion;
mod isolation;
mod once;
mod refusal;
mod secrets;
mod shape;
mod size;

#[cfg(test)]
mod tests;

use super::finding::Finding;
use super::job_file::Sketch;

pub use cluster::{Cluster, Policy};
pub use refusal::{parse_refusal, refusal, warnings};
pub use shape::{Group, Job, Task};

/// Every name a finding of a builder can have, in the README's order.
pub const NAMES: &[&str] = &[
    "no-builder",
    "not-parameterized",
    "stopped",
    "job-type",
    "job-name",
    "namespace",
    "meta-missing",
    "meta-required",
    "meta-unknown",
    "group-missing",
    "group-count",
    "group-extra",
    "task-missing",
    "jobs-controller",
    "restart",
    "reschedule",
    "disconnect",
    "time-limit",
    "meta-in-command",
    "meta-in-template",
    "secrets-in-payload",
    "controller-identity",
    "controller-lifecycle",
    "docker-socket",
    "privileged",
    "host-network",
    "host-pid",
    "host-ipc",
    "host-userns",
    "raw-exec",
    "capabilities",
    "identity",
    "vault",
    "consul",
    "secret",
    "template",
    "policy",
    "policies-unknown",
    "no-acl",
    "log-size",
    "log-disabled",
    "unknown",
    "hcl-syntax",
    "nomad-refuses",
    "nomad-warns",
    "offline",
];

/// Doubts that are told one by one; the rest is a number.
const DOUBTS: usize = 10;

/// What a check is told beside the job.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// The file's lines, and its doubts where Nomad has not read it.
    pub sketch: &'a Sketch,
    /// What is known of the cluster.
    pub cluster: &'a Cluster,
    /// The namespace that `serve` dispatches in.
    pub namespace: &'a str,
    /// No untrusted build reaches this builder: credentials and the node are in friendly hands.
    pub trusted_only: bool,
}

/// All findings, by line.
#[must_use]
pub fn check(job: &Job, about: &About<'_>) -> Vec<Finding> {
    let mut found = Found::default();
    if contract::is_builder(job, &mut found) {
        contract::check(job, about, &mut found);
        once::check(job, &mut found);
        expansion::check(job, &mut found);
        secrets::check(job, &mut found);
        isolation::check(job, about, &mut found);
        credentials::check(job, about, &mut found);
        cluster::check(job, about, &mut found);
        size::check(job, &mut found);
    }
    let mut findings = found.told(about.sketch);
    findings.extend(doubts(about.sketch));
    findings.sort_by_key(|finding| finding.line);
    findings
}

/// Findings, with the places they rest on; they stand at the first.
#[derive(Debug, Default)]
struct Found(Vec<(Finding, Vec<String>)>);

impl Found {
    fn say(&mut self, at: impl Into<String>, finding: Finding) {
        self.0.push((finding, vec![at.into()]));
    }

    /// The same where it follows from several places.
    fn say_of(&mut self, places: Vec<String>, finding: Finding) {
        self.0.push((finding, places));
    }

    /// What rests on what is not known is not said.
    fn told(self, sketch: &Sketch) -> Vec<Finding> {
        let certain = self.0.into_iter().filter(|(_, places)| !places.iter().any(|place| sketch.doubts(place)));
        let told = certain.map(|(finding, places)| {
            let line = places.first().and_then(|place| sketch.line(place));
            finding.at(line)
        });
        told.collect()
    }
}

fn doubts(sketch: &Sketch) -> Vec<Finding> {
    let mut notes: Vec<Finding> = sketch
        .doubts
        .iter()
        .take(DOUBTS)
        .map(|doubt| {
            let sentence = format!("{} is not known without Nomad: {}", doubt.place, doubt.why);
            Finding::note("unknown", sentence, "").at(Some(doubt.line))
        })
        .collect();
    let more = sketch.doubts.len().saturating_sub(DOUBTS);
    if more > 0 {
        notes.push(Finding::note("unknown", format!("{more} more values are not known without Nomad"), ""));
    }
    notes
}

/// Where a group stands in a file.
fn group_place(group: &Group) -> String {
    format!("group {}", group.name)
}

/// Where a task stands in a file.
fn task_place(group: &Group, task: &Task) -> String {
    format!("group {}/task {}", group.name, task.name)
}
