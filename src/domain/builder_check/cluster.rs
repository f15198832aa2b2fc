//! What only the cluster knows: policies, and whether there are any.

use super::{About, Found, Job, task_place};
use crate::domain::finding::Finding;
use crate::domain::runner::CONTROLLER;

/// What is known of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// Whether it has ACLs; none where nobody was asked.
    pub acl: Option<bool>,
    /// The policies that are bound to this job; none where they may not be read.
    pub policies: Option<Vec<Policy>>,
}

/// A policy bound to a job (`nomad acl policy apply -job …`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// The group; empty for all.
    pub group: String,
    /// The task; empty for all.
    pub task: String,
}

pub(super) fn check(job: &Job, about: &About<'_>, found: &mut Found) {
    let Some(runner) = job.runner() else {
        return;
    };
    if about.cluster.acl == Some(false) && job.has_controller() {
        let sentence = "the cluster has no ACLs: whoever reaches Nomad can run a job that calls itself this builder, and its controller's identity proves nothing";
        let fix = "set acl { enabled = true } in Nomad's servers, and nomad acl bootstrap; or keep Nomad's port from everybody";
        found.say(
            format!("group {}/task {CONTROLLER}/identity albatros", runner.name),
            Finding::note("no-acl", sentence, fix),
        );
    }
    for policy in about.cluster.policies.iter().flatten() {
        let groups = policy.group.is_empty() || policy.group == runner.name;
        for task in runner.tasks.iter().filter(|task| policy.task.is_empty() || policy.task == task.name) {
            if !groups || !(task.name == CONTROLLER || task.is_executor()) {
                continue;
            }
            let sentence = format!(
                "the policy \"{}\" is bound to the task \"{}\": Nomad takes its identity as a token with all that the policy allows",
                policy.name, task.name
            );
            let fix = format!("bind it to the job that needs it, or nomad acl policy delete {}", policy.name);
            found.say(task_place(runner, task), Finding::error("policy", sentence, fix));
        }
    }
    if about.cluster.acl == Some(true) && about.cluster.policies.is_none() {
        let sentence = "which policies are bound to it was not looked up: that takes a management token";
        found.say("", Finding::note("policies-unknown", sentence, ""));
    }
}
