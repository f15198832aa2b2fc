//! GitHub's way: jobs by the runs of a repository, and runners with a just-in-time configuration.

use std::collections::BTreeSet;

use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::{Registered, Runners, wire};
use crate::api::forge::ForgeError;
use crate::domain::config::ForgeKind;
use crate::domain::runner_wire::RunnerRegistration;
use crate::domain::runners::{Runner, Scope, SeenJob, offered};

/// Runs of one repository that are looked into; further ones have their turn when these are over.
const MOST_RUNS: usize = 100;
/// Repositories of an organisation that are looked through: those that were pushed to last.
const REPOSITORIES: &str = "30";
/// The group in which all runners are that nobody has put into another.
const DEFAULT_GROUP: u64 = 1;

#[derive(Deserialize)]
struct Answered {
    runner: wire::ListedRunner,
    encoded_jit_config: String,
}

impl Runners {
    pub(super) async fn github_jobs(&self, named: &BTreeSet<(String, String)>) -> Result<Vec<SeenJob>, ForgeError> {
        let own = match &self.scope {
            Scope::Repo { owner, name } => Some((owner.clone(), name.clone())),
            Scope::Owner(_) | Scope::Instance => None,
        };
        let mut all = Vec::new();
        for (owner, name) in own.iter().chain(named.iter().filter(|_| own.is_none())) {
            all.extend(self.github_jobs_of(owner, name).await?);
        }
        Ok(all)
    }

    async fn github_jobs_of(&self, owner: &str, name: &str) -> Result<Vec<SeenJob>, ForgeError> {
        let what = "list jobs of workflows";
        let repo = ["repos", owner, name, "actions", "runs"];
        let mut runs = BTreeSet::new();
        // A run is in progress while one of its jobs is, whatever the others wait for.
        for status in ["queued", "in_progress"] {
            let query = [("status", status), ("per_page", "100")];
            let answer = self.at(what, &Method::GET, (&repo, &query), None).await?;
            let listed: wire::Runs = self.read(answer, what)?;
            runs.extend(listed.workflow_runs.into_iter().map(|run| run.id));
        }
        let mut all = Vec::new();
        for run in runs.into_iter().take(MOST_RUNS) {
            let run = run.to_string();
            let path: Vec<&str> = repo.into_iter().chain([run.as_str(), "jobs"]).collect();
            let query = [("filter", "latest"), ("per_page", "100")];
            let answer = self.at(what, &Method::GET, (&path, &query), None).await?;
            let listed: wire::Jobs = self.read(answer, what)?;
            all.extend(listed.jobs.into_iter().map(|job| job.seen(self.address(owner, name))));
        }
        Ok(all)
    }

    pub(super) async fn github_repositories(&self, owner: &str) -> Result<BTreeSet<(String, String)>, ForgeError> {
        let what = "list an organisation's repositories";
        let query = [("sort", "pushed"), ("direction", "desc"), ("per_page", REPOSITORIES)];
        let answer = self.at(what, &Method::GET, (&["orgs", owner, "repos"], &query), None).await?;
        let listed: Vec<wire::Repository> = self.read(answer, what)?;
        Ok(listed.into_iter().map(|one| (one.owner.login, one.name)).collect())
    }

    pub(super) async fn github_register(&self, runner: &Runner) -> Result<Registered, ForgeError> {
        let what = "register a runner";
        let labels = offered(runner.labels.iter().map(String::as_str), ForgeKind::Github);
        let group = match &runner.group {
            Some(name) => self.group(name).await?,
            None => DEFAULT_GROUP,
        };
        let body = json!({ "name": runner.name, "runner_group_id": group, "labels": labels, "work_folder": "_work" });
        let answer = self.send(what, &Method::POST, (&["runners", "generate-jitconfig"], &[]), Some(&body)).await?;
        let answered: Answered = self.read(answer, what)?;
        let registration = RunnerRegistration::Github { jit: answered.encoded_jit_config };
        Ok(Registered { id: answered.runner.id, registration })
    }

    async fn group(&self, name: &str) -> Result<u64, ForgeError> {
        let what = "list groups of runners";
        if let Scope::Repo { .. } = self.scope {
            let why = "groups of runners are an organisation's: leave `group` out, or use the organisation's entry";
            return Err(ForgeError::Refused(why.to_owned()));
        }
        let listed: wire::Groups = self.page(what, &["runner-groups"], &[], 1).await?;
        let found = listed.runner_groups.into_iter().find(|group| group.name.eq_ignore_ascii_case(name));
        found.map(|group| group.id).ok_or_else(|| {
            ForgeError::Refused(format!("the organisation has no group of runners `{name}`, or not for our token"))
        })
    }
}
