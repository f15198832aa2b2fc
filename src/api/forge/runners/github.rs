//! GitHub's way: jobs by the runs of a repository, and runners with a just-in-time configuration.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt as _};
use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::time::{Instant, timeout_at};

use super::{Listing, PAGES, Registered, Runners, wire};
use crate::api::forge::ForgeError;
use crate::domain::config::ForgeKind;
use crate::domain::runner_wire::RunnerRegistration;
use crate::domain::runners::{Runner, Scope, SeenJob, offered};

/// Runs of one repository that are looked into; further ones have their turn when these are over.
const MOST_RUNS: usize = 100;
/// Lists that are asked for at once; many more GitHub takes for abuse.
const AT_ONCE: usize = 8;
/// Repositories of an organisation that are looked through in one turn.
const IN_TURN: &str = "3";
/// The group in which all runners are that nobody has put into another.
const DEFAULT_GROUP: u64 = 1;

#[derive(Deserialize)]
struct Answered {
    runner: wire::ListedRunner,
    encoded_jit_config: String,
}

impl Runners {
    pub(super) async fn github_jobs(
        &self,
        named: &BTreeSet<(String, String)>,
        until: Instant,
    ) -> Result<Listing<SeenJob>, ForgeError> {
        if let Scope::Repo { owner, name } = &self.scope {
            return self.github_jobs_of(owner, name, AT_ONCE).await;
        }
        let of_one = |repo: &'_ (String, String)| {
            let (owner, name) = repo.clone();
            async move {
                let answer = timeout_at(until, self.github_jobs_of(&owner, &name, 1)).await;
                (owner, name, answer)
            }
        };
        let mut answers = stream::iter(named).map(of_one).buffer_unordered(AT_ONCE);
        let mut all = Listing { entries: Vec::new(), is_whole: true, hidden: Vec::new() };
        // One that is gone, slow, or that the token may not read, is not in the others' way.
        let (mut answered, mut silent) = (named.is_empty(), None);
        while let Some((owner, name, answer)) = answers.next().await {
            let what = "the jobs of a repository's workflows cannot be listed";
            match answer {
                Ok(Ok(of_one)) => {
                    answered = true;
                    all.entries.extend(of_one.entries);
                    all.is_whole &= of_one.is_whole;
                    continue;
                }
                Ok(Err(error)) if error.wait().is_some() => return Err(error),
                Ok(Err(ForgeError::Refused(why))) => {
                    answered = true;
                    all.hidden.push(format!("{owner}/{name}: {why}"));
                }
                Ok(Err(error)) => {
                    tracing::warn!(owner, name, error = &error as &dyn std::error::Error, "{what}");
                    silent = Some(error);
                }
                Err(_elapsed) => tracing::warn!(owner, name, "{what} in time"),
            }
            all.is_whole = false;
        }
        match silent {
            Some(error) if !answered => Err(error),
            Some(_) | None => Ok(all),
        }
    }

    async fn github_jobs_of(&self, owner: &str, name: &str, at_once: usize) -> Result<Listing<SeenJob>, ForgeError> {
        let repo = ["repos", owner, name, "actions", "runs"];
        let (mut runs, mut is_whole) = (BTreeSet::new(), true);
        // A run is in progress while one of its jobs is, whatever the others wait for.
        for status in ["queued", "in_progress"] {
            let taken = |listed: wire::Runs| (listed.workflow_runs, listed.total_count);
            let listed = self.github_pages((&repo, &[("status", status)]), taken).await?;
            is_whole &= listed.is_whole;
            runs.extend(listed.entries.into_iter().map(|run: wire::Run| run.id));
        }
        is_whole &= runs.len() <= MOST_RUNS;
        let of_run = |run: u64| async move {
            let run = run.to_string();
            let path: Vec<&str> = repo.into_iter().chain([run.as_str(), "jobs"]).collect();
            let taken = |listed: wire::Jobs| (listed.jobs, listed.total_count);
            self.github_pages((&path, &[("filter", "latest")]), taken).await
        };
        let mut lists = stream::iter(runs.into_iter().take(MOST_RUNS)).map(of_run).buffer_unordered(at_once);
        let mut entries: Vec<SeenJob> = Vec::new();
        while let Some(listed) = lists.next().await {
            let listed = listed?;
            is_whole &= listed.is_whole;
            entries.extend(listed.entries.into_iter().map(|job| job.seen(self.address(owner, name))));
        }
        Ok(Listing { entries, is_whole, hidden: Vec::new() })
    }

    /// A list of which each page says how long it is.
    async fn github_pages<P: DeserializeOwned, T>(
        &self,
        (path, query): (&[&str], &[(&str, &str)]),
        taken: impl Fn(P) -> (Vec<T>, usize),
    ) -> Result<Listing<T>, ForgeError> {
        let what = "list jobs of workflows";
        let (mut entries, mut is_whole) = (Vec::new(), false);
        for page in 1..=PAGES {
            let page = page.to_string();
            let query: Vec<_> = query.iter().copied().chain([("per_page", "100"), ("page", page.as_str())]).collect();
            let answer = self.at(what, &Method::GET, (path, &query), None).await?;
            let (news, total) = taken(self.read(answer, what)?);
            let is_end = news.is_empty();
            entries.extend(news);
            is_whole = entries.len() >= total;
            if is_whole || is_end {
                break;
            }
        }
        Ok(Listing { entries, is_whole, hidden: Vec::new() })
    }

    pub(super) async fn github_repositories(
        &self,
        owner: &str,
        turn: usize,
    ) -> Result<Vec<(String, String)>, ForgeError> {
        let (what, page) = ("list an organisation's repositories", turn.saturating_add(1).to_string());
        let query = [("sort", "full_name"), ("per_page", IN_TURN), ("page", page.as_str())];
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
