//! The builders that an entry names, asked of Nomad.

use std::collections::BTreeSet;

use super::runners::is_wide;
use crate::cli::repo::operator::Operator;
use crate::domain::config::RepoConfig;
use crate::domain::finding::Finding;
use crate::domain::id::BuilderName;
use crate::domain::repo_url::RepoUrl;

/// What is wrong with the builders of a configuration.
pub(super) async fn check(operator: &Operator, repo: &RepoUrl, config: &RepoConfig) -> Vec<Finding> {
    let Some(nomad) = &operator.nomad else {
        let fix = "set NOMAD_ADDR (and NOMAD_TOKEN) to have the builders looked up";
        return vec![Finding::note("nomad-not-asked", "whether the builders exist was not asked", fix)];
    };
    let mut found = Vec::new();
    for name in named(repo, config) {
        let namespace = &operator.namespace;
        let check = format!("albatros builder list; albatros builder register hcl/{name}.hcl");
        match nomad.job(name.as_str()).await {
            Ok(Some(job)) if job.stop => {
                let sentence = format!("the builder {name} is stopped in Nomad's namespace {namespace}");
                found.push(Finding::error("builder-stopped", sentence, check));
            }
            Ok(Some(job)) if job.parameterized_job.is_none() => {
                let sentence =
                    format!("the job {name} in the namespace {namespace} takes no parameters: it is no builder");
                found.push(Finding::error("builder-not-parameterized", sentence, check));
            }
            Ok(Some(_)) => {}
            Ok(None) => {
                let sentence = format!("there is no builder {name} in Nomad's namespace {namespace}");
                found.push(Finding::error("builder-unknown", sentence, check));
            }
            Err(error) => {
                let sentence = format!("Nomad was asked for the builder {name}: {error}");
                found.push(Finding::warning("nomad-unreachable", sentence, "see NOMAD_ADDR and NOMAD_TOKEN"));
                break;
            }
        }
    }
    found
}

/// Every builder that a push, a pull request or a job of a workflow may go to.
fn named<'a>(repo: &RepoUrl, config: &'a RepoConfig) -> BTreeSet<&'a BuilderName> {
    // To what is above repositories nobody pushes.
    if config.forge.as_ref().is_some_and(|forge| is_wide(repo, forge)) {
        return config.runners.iter().map(|pool| &pool.builder).collect();
    }
    let flavors = config.flavors.values().filter_map(|flavor| flavor.builder.as_ref());
    let runners = config.runners.iter().map(|pool| &pool.builder);
    std::iter::once(&config.builder).chain(&config.untrusted_builder).chain(flavors).chain(runners).collect()
}
