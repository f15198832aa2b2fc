//! `list.html`: builds, newest first, and a form to filter them by.

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;

use super::address::Address;
use super::build::{Named, sender, short_repo};
use super::face::{Face, STATES, face};
use super::moment::{Moment, took};
use super::{Chrome, page, text};
use crate::dispatcher::App;
use crate::dispatcher::signin::Visitor;
use crate::dispatcher::view::BuildView;
use crate::domain::links::ForgeLinks;
use crate::domain::percent;
use crate::registry::Found;

/// What a list was asked for, as its form shows it again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters {
    pub(crate) repo: Option<String>,
    pub(crate) branch: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) flavor: Option<String>,
    pub(crate) sender: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) before: Option<Timestamp>,
    pub(crate) jobs: bool,
    pub(crate) limit: Option<usize>,
}

/// `list.html`
#[derive(Debug, Template)]
#[template(path = "list.html", config = "src/dispatcher/pages/askama.toml")]
struct ListPage {
    chrome: Chrome,
    fields: Vec<Field>,
    /// The states that can be chosen, and whether one is.
    states: Vec<(&'static str, &'static str, bool)>,
    is_filtered: bool,
    /// What was asked for by more than the form has: kept when it is sent.
    hidden: Vec<(&'static str, String)>,
    all: String,
    rows: Vec<Row>,
    older: Option<String>,
    newest: Option<String>,
}

/// A field of the form.
#[derive(Debug)]
struct Field {
    name: &'static str,
    label: &'static str,
    value: String,
}

/// One build.
#[derive(Debug)]
struct Row {
    face: Face,
    of_state: String,
    page: String,
    headline: String,
    repo: Option<Named>,
    git_ref: Option<Named>,
    commit: Option<Named>,
    sender: Option<String>,
    flavor: Option<String>,
    job: Option<String>,
    created: Option<Moment>,
    took: Option<String>,
}

/// The path of a list with these filters.
pub(super) fn filtered(base: &str, filters: &[(&str, &str)]) -> String {
    let told: Vec<String> = filters.iter().map(|(name, value)| format!("{name}={}", percent::encode(value))).collect();
    let mark = if told.is_empty() { "" } else { "?" };
    format!("{base}/builds{mark}{}", told.join("&"))
}

/// What is shown of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listed<'a> {
    pub(crate) views: &'a [BuildView],
    /// The repositories, for links to their forges.
    pub(crate) entries: &'a [Found],
    /// There may be more.
    pub(crate) is_full: bool,
}

/// The page of a list.
pub(crate) fn show(app: &App, visitor: &Visitor, filters: &Filters, listed: &Listed<'_>) -> Response {
    let Listed { views, entries, is_full } = *listed;
    let now = Timestamp::now();
    let title =
        filters.repo.as_deref().map_or_else(|| "Builds".to_owned(), |repo| format!("Builds of {}", short_repo(repo)));
    let chrome = Chrome::new(app, title).seen_by(visitor);
    let base = chrome.base.clone();
    let last = views.last().and_then(|view| view.created).filter(|_| is_full).map(|at| at.to_string());
    let row = |view: &BuildView| Row::of(&base, view, entries, now);
    let list = ListPage {
        fields: filters.fields(),
        states: STATES.map(|state| (state, face(state).word, filters.state.as_deref() == Some(state))).to_vec(),
        is_filtered: !filters.pairs().is_empty(),
        hidden: filters.hidden(),
        all: filtered(&base, &[]),
        rows: views.iter().map(row).collect(),
        older: last.as_deref().map(|last| filters.with(&base, Some(last))),
        newest: filters.before.map(|_at| filters.with(&base, None)),
        chrome,
    };
    page(StatusCode::OK, &list)
}

impl Filters {
    fn fields(&self) -> Vec<Field> {
        let field = |name, label, value: &Option<String>| Field {
            name,
            label,
            value: text::lines(value.as_deref().unwrap_or_default()),
        };
        vec![
            field("repo", "Repository", &self.repo),
            field("branch", "Branch", &self.branch),
            field("sender", "Started by", &self.sender),
            field("flavor", "Flavor", &self.flavor),
        ]
    }

    fn hidden(&self) -> Vec<(&'static str, String)> {
        let event = self.event.as_ref().map(|event| ("event", text::name(event)));
        let limit = self.limit.map(|limit| ("limit", limit.to_string()));
        let jobs = self.jobs.then(|| ("jobs", "true".to_owned()));
        event.into_iter().chain(limit).chain(jobs).collect()
    }

    /// Those that are set, but for where the list begins. An empty field of a form sets nothing.
    fn pairs(&self) -> Vec<(&'static str, String)> {
        let texts = [
            ("repo", &self.repo),
            ("branch", &self.branch),
            ("state", &self.state),
            ("flavor", &self.flavor),
            ("sender", &self.sender),
            ("event", &self.event),
        ];
        let texts = texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        texts.chain(self.jobs.then(|| ("jobs", "true".to_owned()))).collect()
    }

    fn with(&self, base: &str, before: Option<&str>) -> String {
        let mut pairs = self.pairs();
        pairs.extend(self.limit.map(|limit| ("limit", limit.to_string())));
        pairs.extend(before.map(|before| ("before", before.to_owned())));
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
        filtered(base, &pairs)
    }
}

impl Row {
    fn of(base: &str, view: &BuildView, entries: &[Found], now: Timestamp) -> Self {
        let address = match (&view.build, &view.claim) {
            (Some(build), _) => Address::of_build(base, build, None).page(),
            (None, Some(claim)) => Address::of_claim(base, claim, None).page(),
            (None, None) => filtered(base, &[]),
        };
        let repo = view.repo.as_deref();
        let branch = view.git_ref.as_deref().and_then(|git_ref| git_ref.strip_prefix("refs/heads/"));
        let config = repo.and_then(|repo| entries.iter().find(|found| found.repo == repo));
        let commit = view.commit.as_deref();
        let links = ForgeLinks::of(
            config.and_then(|found| found.config.forge.as_ref()),
            repo.unwrap_or_default(),
            view.git_ref.as_deref().unwrap_or_default(),
            commit.unwrap_or_default(),
        );
        let end = view.finished.or(view.started.filter(|_| !view.ended).map(|_running| now));
        Self {
            face: face(view.state),
            of_state: filtered(base, &[("state", view.state)]),
            page: address,
            headline: super::build::headline(view),
            repo: repo.map(|repo| Named { text: short_repo(repo), href: Some(filtered(base, &[("repo", repo)])) }),
            git_ref: git_ref(base, view, branch),
            commit: commit.map(|commit| Named {
                text: text::name(commit.get(..10).unwrap_or(commit)),
                href: links.commit.map(String::from),
            }),
            sender: view.sender.as_deref().map(sender),
            flavor: view.flavor.as_deref().map(text::name),
            job: view.job.as_ref().map(ToString::to_string),
            created: view.created.map(|at| Moment::of(at, now)),
            took: view.started.zip(end).map(|(started, end)| took(started, end)),
        }
    }
}

/// A branch is a link to its builds; of others there is no filter.
fn git_ref(base: &str, view: &BuildView, branch: Option<&str>) -> Option<Named> {
    if let Some(number) = view.pull_request {
        return Some(Named { text: format!("pull request #{number}"), href: None });
    }
    let git_ref = view.git_ref.as_deref()?;
    let (text, href) = match (branch, git_ref.strip_prefix("refs/tags/"), view.repo.as_deref()) {
        (Some(branch), _, Some(repo)) => {
            (text::name(branch), Some(filtered(base, &[("repo", repo), ("branch", branch)])))
        }
        (_, Some(tag), _) => (format!("tag {}", text::name(tag)), None),
        (Some(other), None, None) => (text::name(other), None),
        (None, None, _) => (text::name(git_ref), None),
    };
    Some(Named { text, href })
}
