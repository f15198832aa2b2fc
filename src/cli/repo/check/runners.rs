//! Whether runners can be registered for what an entry is for, and whether its webhook tells of jobs.

use std::time::Duration;

use tokio::time::Instant;

use crate::api::forge::{ForgeError, Hook, Runners};
use crate::cli::repo::operator::Operator;
use crate::cli::repo::webhook::refused;
use crate::domain::config::{ForgeConfig, RepoConfig};
use crate::domain::finding::Finding;
use crate::domain::repo_url::RepoUrl;
use crate::domain::runners::Scope;

/// How long the answers of a few repositories are waited for.
const JOBS_WITHIN: Duration = Duration::from_secs(30);

/// Whether the entry is for more than one repository: then there is nothing else to ask about it.
pub(super) fn is_wide(repo: &RepoUrl, forge: &ForgeConfig) -> bool {
    Scope::of(repo, forge).is_ok_and(|(scope, _)| !matches!(scope, Scope::Repo { .. }))
}

/// What is wrong with the token; a registration is not tried, for it would stay.
pub(super) async fn check(operator: &Operator, repo: &RepoUrl, config: &RepoConfig) -> Vec<Finding> {
    let Some(forge) = config.forge.as_ref() else { return Vec::new() };
    if config.runners.is_empty() {
        if !is_wide(repo, forge) {
            return Vec::new();
        }
        let sentence = "the address is of no repository, and the entry has no `runners`: it does nothing";
        return vec![Finding::error("no-repository", sentence, "add `runners`, or remove the entry")];
    }
    let runners = match Runners::new(operator.forges.clone(), forge, repo.canonical()) {
        Ok(runners) => runners,
        Err(error) => return vec![refused("runners-scope", "no runners can be registered", &error)],
    };
    match listed(&runners).await {
        Ok(found) => found,
        Err(found) => vec![*found],
    }
}

/// Whether what each look lists is listed: the runners and, where jobs are listed a repository at a time, those of a few of
/// them. The token may see an organisation's runners and none of its repositories' runs.
async fn listed(runners: &Runners) -> Result<Vec<Finding>, Box<Finding>> {
    let hidden =
        |what: &'static str, sentence: &'static str| move |error: ForgeError| Box::new(refused(what, sentence, &error));
    runners.list().await.map_err(hidden("runners-hidden", "the runners cannot be listed"))?;
    let few = runners.repositories(0).await;
    let few =
        few.map_err(hidden("repositories-hidden", "the repositories cannot be listed whose jobs are asked for"))?;
    let until = Instant::now() + JOBS_WITHIN;
    let jobs = runners.jobs(&few.iter().cloned().collect(), until).await;
    let jobs = jobs.map_err(hidden("jobs-hidden", "the jobs of workflows cannot be listed"))?;
    let fix = "give the token Actions: read of the organisation's repositories, private ones too";
    let sentence = |why: &String| format!("the jobs of workflows cannot be listed: {why}");
    Ok(jobs.hidden.iter().map(|why| Finding::warning("jobs-hidden", sentence(why), fix)).collect())
}

/// Whether one of our webhooks tells of jobs; without, the forge is asked every half minute all the same.
pub(super) fn told(ours: &[&Hook], config: &RepoConfig) -> Option<Finding> {
    let tells = |hook: &&&Hook| hook.events.contains("*") || hook.events.contains("workflow_job");
    let silent = !config.runners.is_empty() && !ours.iter().any(|hook| tells(&hook));
    silent.then(|| {
        let sentence = "the webhook does not send workflow_job: runners are started up to half a minute later";
        Finding::note("webhook-jobs", sentence, "tick \"Workflow jobs\" in the webhook's settings at the forge")
    })
}
