//! Why changes wait for their turn, for those who look at them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::view::BuildView;
use super::{App, access};
use crate::domain::config::RepoConfig;
use crate::domain::id::ClaimId;
use crate::domain::outcome::Verdict;
use crate::domain::record::{Phase, Record};
use crate::domain::turn::Lines;
use crate::registry::{Found, RegistryError};

use super::known::OpenList;

/// How old a list of open changes may be in which a change's place is looked up.
const LIST_FOR: Duration = Duration::from_secs(1);

/// All lines, and what may be under way in each.
#[derive(Debug)]
pub(crate) struct Waits<'a> {
    lines: Lines<'a>,
    most: HashMap<&'a str, &'a RepoConfig>,
}

impl<'a> Waits<'a> {
    pub(crate) fn of(open: &'a OpenList, entries: &'a [Found]) -> Self {
        let most = entries.iter().map(|found| (found.repo.as_str(), &found.config));
        Self { lines: Lines::of(open.iter().map(|(claim, stored)| (claim, &stored.value))), most: most.collect() }
    }

    /// What a list shows of an open record, with the reason where it waits for its turn.
    pub(crate) fn glance(&self, claim: &ClaimId, record: &Record) -> Verdict {
        if !matches!(record.phase, Phase::Waiting) {
            return BuildView::glance(record);
        }
        let max = self.most.get(record.repo.as_str()).and_then(|config| match record.runner.as_deref() {
            None => config.concurrency.max,
            Some(runner) => {
                let mut pools = config.runners.iter();
                pools.find(|pool| pool.has_labels(&runner.labels)).map(|pool| pool.max)
            }
        });
        Verdict::Open { reason: self.lines.why(claim, record, max), unknown: false }
    }
}

/// The same of one change.
pub(crate) async fn glance(app: &App, claim: &ClaimId, record: &Record) -> Result<Verdict, RegistryError> {
    if !matches!(record.phase, Phase::Waiting) {
        return Ok(BuildView::glance(record));
    }
    let Some(config) = access::config_of(app, &record.repo).await? else { return Ok(BuildView::glance(record)) };
    let now = Instant::now();
    let open = app.known.open(app, now.checked_sub(LIST_FOR).unwrap_or(now)).await?;
    let entries = [Found { repo: record.repo.clone(), config }];
    Ok(Waits::of(&open, &entries).glance(claim, record))
}
