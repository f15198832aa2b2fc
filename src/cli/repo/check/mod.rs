//! `albatros repo check`: what is wrong with an entry, its webhook and all around it, and how to mend it.

mod cluster;
mod forge;
mod runners;

use std::collections::BTreeMap;
use std::io::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::operator::{Operator, of_entry};
use super::{Common, RepoError};
use crate::cli::exit::Exit;
use crate::cli::settings::Environment;
use crate::domain::finding::{Finding, Severity, fails};
use crate::domain::repo_check::{self, Place};
use crate::domain::repo_url::RepoUrl;
use crate::registry::Kept;

/// Say what is wrong with a repository's entry and webhook, and how to mend it
///
/// Exits with 0 where nothing is, 1 where something does not work, and 3 where a service did not answer.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// The repository's address; or that of an organisation or a forge, whose entry has `runners`
    #[arg(required_unless_present = "all")]
    repo: Option<String>,
    /// Every repository that there is
    #[arg(long, conflicts_with = "repo")]
    all: bool,
    /// With --all: have each forge send a test delivery too
    #[arg(long, requires = "all")]
    test: bool,
    /// Have no test delivery sent
    #[arg(long, conflicts_with = "test")]
    no_test: bool,
    /// Count warnings as well
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    common: Common,
}

/// What was found of one repository.
struct Report {
    what: String,
    findings: Vec<Finding>,
}

impl CheckArgs {
    pub(super) async fn run(self, env: Environment<'_>) -> Result<Exit, RepoError> {
        let operator = Operator::new(&self.common, env)?;
        let mut reports = Vec::new();
        match &self.repo {
            Some(repo) => {
                let found = operator.known(&of_entry(repo)?).await?;
                reports.push(self.repository(&operator, &found).await?);
            }
            None => {
                for entries in grouped(operator.entries.all().await?) {
                    reports.push(self.repository(&operator, &entries).await?);
                }
            }
        }
        self.tell(&reports)
    }

    /// Everything about one repository, by its entries: the first is the one that counts.
    async fn repository(&self, operator: &Operator, entries: &[Kept]) -> Result<Report, RepoError> {
        let Some(kept) = entries.first() else { return Ok(Report { what: String::new(), findings: Vec::new() }) };
        let Some(repo) = &kept.address else {
            return Ok(Report {
                what: crate::domain::json::shown(&kept.name),
                findings: vec![repo_check::no_address(&kept.name)],
            });
        };
        let canonical = repo.canonical();
        let others = entries.len() - 1;
        let place = Place { address: repo.sent(), canonical, is_usual: kept.is_usual(), others };
        let mut findings = repo_check::place(&place);
        let (found, config) = repo_check::value(&kept.value, canonical);
        findings.extend(found);
        if let Some(config) = config {
            let test = if self.all { self.test } else { !self.no_test };
            findings.extend(forge::check(operator, repo, &config, test).await?);
            findings.extend(cluster::check(operator, repo, &config).await);
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        Ok(Report { what: canonical.to_owned(), findings })
    }

    fn tell(&self, reports: &[Report]) -> Result<Exit, RepoError> {
        let mut out = std::io::stdout().lock();
        if self.common.json {
            let all: Vec<Value> =
                reports.iter().map(|it| json!({ "repo": it.what, "findings": it.findings })).collect();
            writeln!(out, "{:#}", Value::from(all))?;
        } else {
            for report in reports {
                for finding in &report.findings {
                    writeln!(out, "{}", finding.text(&report.what))?;
                }
                if report.findings.iter().all(|finding| finding.severity == Severity::Note) {
                    writeln!(out, "{}: all is well", report.what)?;
                }
            }
            if reports.is_empty() {
                writeln!(out, "no repositories: `albatros repo add URL`")?;
            }
        }
        let all: Vec<Finding> = reports.iter().flat_map(|report| report.findings.iter().cloned()).collect();
        let (unreachable, others): (Vec<Finding>, Vec<Finding>) =
            all.into_iter().partition(|finding| finding.name.ends_with("-unreachable"));
        Ok(match (fails(&others, self.strict), fails(&unreachable, true)) {
            (true, _) => Exit::Failed,
            (false, true) => Exit::Infra,
            (false, false) => Exit::Success,
        })
    }
}

/// Entries of the same repository together, the one that `serve` takes first; what is no entry stands alone.
fn grouped(all: Vec<Kept>) -> Vec<Vec<Kept>> {
    let mut groups: BTreeMap<String, Vec<Kept>> = BTreeMap::new();
    for kept in all {
        let name = kept.address.as_ref().map_or_else(|| kept.name.clone(), |address| address.canonical().to_owned());
        groups.entry(name).or_default().push(kept);
    }
    let mut groups: Vec<Vec<Kept>> = groups.into_values().collect();
    for group in &mut groups {
        let order = group.first().and_then(|kept| kept.address.as_ref()).map(RepoUrl::keys).unwrap_or_default();
        group.sort_by_key(|kept| order.iter().position(|(_, name)| *name == kept.name).unwrap_or(usize::MAX));
    }
    groups
}
