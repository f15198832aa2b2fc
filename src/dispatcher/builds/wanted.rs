//! What of all builds somebody wants in his list, and which of it he may see.

use std::collections::HashSet;
use std::sync::Arc;

use super::list::ListQuery;
use crate::dispatcher::App;
use crate::dispatcher::access::Credentials;
use crate::dispatcher::ended::{Row, Table};
use crate::dispatcher::view::BuildView;
use crate::domain::id::ClaimId;
use crate::domain::record::{Done, Record};
use crate::domain::repo_url::RepoUrl;
use crate::registry::Found;

/// The repositories whose private builds a caller may see.
#[derive(Debug)]
pub(crate) struct Sight<'a>(HashSet<&'a str>);

impl<'a> Sight<'a> {
    pub(crate) fn of(app: &App, credentials: &Credentials, entries: &'a [Found]) -> Self {
        let theirs = entries.iter().filter(|found| credentials.reads(app, &found.config));
        Self(theirs.map(|found| found.repo.as_str()).collect())
    }

    pub(crate) fn takes(&self, private: bool, repo: Option<&str>) -> bool {
        !private || repo.is_some_and(|repo| self.0.contains(repo))
    }
}

/// A query, with what it says of a repository made comparable.
#[derive(Debug)]
pub(crate) struct Wanted<'a> {
    query: &'a ListQuery,
    canonical: Option<String>,
    git_ref: Option<String>,
}

/// In any spelling; what is no address is compared as it stands.
fn canonical(repo: &str) -> String {
    repo.parse::<RepoUrl>().map_or_else(|_| repo.to_owned(), |url| url.canonical().to_owned())
}

impl<'a> Wanted<'a> {
    pub(crate) fn of(query: &'a ListQuery) -> Self {
        let git_ref = query.branch.as_ref().map(|branch| format!("refs/heads/{branch}"));
        Self { query, canonical: query.repo.as_deref().map(canonical), git_ref }
    }

    /// Whether it is one that is looked for, whatever its state.
    pub(crate) fn takes_any_state_of(&self, view: &BuildView) -> bool {
        let is_of = |wanted: &String| view.repo.as_deref().is_some_and(|repo| canonical(repo) == *wanted);
        self.canonical.as_ref().is_none_or(is_of)
            && self.git_ref.as_ref().is_none_or(|wanted| view.git_ref.as_ref() == Some(wanted))
            && self.takes_words((view.flavor.as_deref(), view.event, view.sender.as_deref()), view.job.is_some())
            && self.query.before.is_none_or(|before| view.created.is_some_and(|created| created < before))
    }

    pub(crate) fn takes_state(&self, state: &str) -> bool {
        self.query.state.as_ref().is_none_or(|wanted| wanted == state)
    }

    pub(super) fn takes(&self, view: &BuildView) -> bool {
        self.takes_state(view.state) && self.takes_any_state_of(view)
    }

    pub(crate) fn takes_record(&self, record: &Record) -> bool {
        let words = (Some(record.flavor.as_str()), Some(record.event.as_str()), Some(record.sender.login.as_str()));
        self.canonical.as_ref().is_none_or(|wanted| record.canonical == *wanted)
            && self.git_ref.as_ref().is_none_or(|wanted| record.git_ref == *wanted)
            && self.takes_words(words, record.parent.is_some())
            && self.query.before.is_none_or(|before| record.created < before)
    }

    /// The same of an ended one, its state included.
    pub(crate) fn takes_row(&self, row: &Row) -> bool {
        self.canonical.as_ref().is_none_or(|wanted| row.canonical() == wanted)
            && self.takes_row_of_repo(row)
            && self.query.before.is_none_or(|before| row.created() < before)
    }

    fn takes_row_of_repo(&self, row: &Row) -> bool {
        self.git_ref.as_ref().is_none_or(|wanted| row.git_ref() == wanted)
            && self.takes_state(row.outcome().word())
            && self.takes_words((Some(row.flavor()), Some(row.event().as_str()), row.sender()), row.is_job())
    }

    fn takes_words(&self, words: (Option<&str>, Option<&str>, Option<&str>), is_job: bool) -> bool {
        let (flavor, event, sender) = words;
        let is_sender = |wanted: &String| sender.is_some_and(|sender| sender.eq_ignore_ascii_case(wanted));
        (!is_job || self.query.jobs == Some(true))
            && self.query.sender.as_ref().is_none_or(is_sender)
            && self.query.flavor.as_ref().is_none_or(|wanted| flavor == Some(wanted))
            && self.query.event.as_ref().is_none_or(|wanted| event == Some(wanted))
    }

    /// At most `most` of the ended ones, newest first. Only what is of the repository, and of the branch where that is
    /// told too, is looked at.
    pub(super) fn rows(
        &self,
        table: &Table,
        sight: &Sight<'_>,
        is_open: impl Fn(&ClaimId) -> bool,
        most: usize,
    ) -> Vec<(ClaimId, Done)> {
        let rows: &[Arc<Row>] = match (&self.canonical, &self.git_ref) {
            (Some(repo), Some(git_ref)) => table.of_ref(repo, git_ref),
            (Some(repo), None) => table.of_repo(repo),
            (None, Some(_) | None) => table.all(),
        };
        let until = self.query.before.map(|before| rows.partition_point(|row| row.created() < before));
        let rows = rows.get(..until.unwrap_or(rows.len())).unwrap_or_default();
        let is_wanted =
            |row: &&Arc<Row>| self.takes_row_of_repo(row) && sight.takes(row.is_private(), Some(row.repo()));
        let theirs = rows.iter().rev().filter(is_wanted).filter_map(|row| row.shown());
        theirs.filter(|(claim, _)| !is_open(claim)).take(most).collect()
    }
}
