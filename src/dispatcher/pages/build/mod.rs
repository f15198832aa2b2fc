//! `build.html`: one build, or a change that is none yet, under the same address as the text and the object.

mod about;
mod artifacts;
mod course;
mod graph;
mod logs;
mod touched;
mod words;

use askama::Template;
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use url::Url;

use super::address::Address;
use super::face::{Face, face};
use super::{Chrome, page, text};
use crate::dispatcher::access::{self, Credentials};
use crate::dispatcher::acts::{Offered, offered};
use crate::dispatcher::answer::Problem;
use crate::dispatcher::hook::registry_down;
use crate::dispatcher::known::Known;
use crate::dispatcher::logs::LogWindow;
use crate::dispatcher::signin::Visitor;
use crate::dispatcher::view::{BuildView, JobView};
use crate::dispatcher::{App, SharedApp};
use crate::domain::config::RepoConfig;
use crate::domain::key;
use crate::domain::record::Record;
use crate::domain::report::Report;

use about::About;
use artifacts::Artifacts;
use course::Course;
use graph::{Drawn, Graph};
use logs::Logs;
use touched::Touched;

pub(super) use about::{sender, short_repo};
pub(super) use words::headline;

/// A name, and where it leads.
#[derive(Debug, Clone)]
pub(crate) struct Named {
    pub(crate) text: String,
    pub(crate) href: Option<String>,
}

impl Named {
    fn new(text: String, href: Option<&Url>) -> Self {
        Self { text, href: href.map(ToString::to_string) }
    }
}

/// What a page is made of.
#[derive(Debug)]
pub(crate) struct Ask<'a> {
    pub(crate) app: &'a SharedApp,
    /// What the other forms of the address tell.
    pub(crate) view: BuildView,
    /// What was looked up; none of a change without a build.
    pub(crate) known: Option<&'a Known>,
    /// The record of what is held.
    pub(crate) held: Option<&'a Record>,
    pub(crate) credentials: &'a Credentials,
    pub(crate) visitor: &'a Visitor,
}

/// The same, and who looks at it.
struct Shown<'a> {
    view: BuildView,
    config: Option<&'a RepoConfig>,
    base: String,
    /// Who looks at it has nothing but the key of this very page.
    by_key_alone: bool,
}

/// The page of a build that this caller may see.
pub(crate) async fn show(ask: Ask<'_>) -> Result<Response, Problem> {
    let Ask { app, view, known, held, credentials, visitor } = ask;
    let now = Timestamp::now();
    let config = match &view.repo {
        Some(repo) => access::config_of(app, repo).await.map_err(|error| registry_down(&error))?,
        None => None,
    };
    let reads = config.as_ref().is_some_and(|config| credentials.reads(app, config));
    let by_key_alone = view.private && !reads;
    let key = key(&view, known, config.as_ref().filter(|_| by_key_alone), credentials);
    let key = key.as_deref();
    let chrome = Chrome::new(app, words::title(&view)).seen_by(visitor);
    let (artifacts, logs, offered, touched) = tokio::join!(
        Artifacts::of(app, &chrome.base, known, key),
        Logs::of(app, &view, known, key),
        offered(app, credentials, &view),
        Touched::of(app, held, config.as_ref().filter(|_| reads)),
    );
    let shown = Shown { view, config: config.as_ref(), base: chrome.base.clone(), by_key_alone };
    let build = BuildPage::of(app, &shown, chrome, Gathered { artifacts, logs, offered, touched }, now);
    Ok(page(StatusCode::OK, &build))
}

/// What is asked of others for a page, all at the same time.
struct Gathered {
    artifacts: Artifacts,
    logs: Logs,
    offered: Offered,
    touched: Option<Touched>,
}

/// What the links of this build carry for who has nothing else: the key of a build, also where its change's opened the page.
fn key(
    view: &BuildView,
    known: Option<&Known>,
    config: Option<&RepoConfig>,
    credentials: &Credentials,
) -> Option<String> {
    let given = credentials.key()?;
    match (known, &view.build) {
        (Some(known), Some(_)) => Some(key::build_key(config?, &known.build)),
        (Some(_) | None, _) => config.map(|_config| given.to_owned()),
    }
}

/// `build.html`
#[derive(Debug, Template)]
#[template(path = "build.html", config = "src/dispatcher/pages/askama.toml")]
struct BuildPage {
    chrome: Chrome,
    face: Face,
    headline: String,
    /// Why it is as it is, where the headline does not say so.
    why: Option<String>,
    /// What that means, and what can be done.
    hint: Option<&'static str>,
    trouble: Option<String>,
    stopping: Option<String>,
    ended: bool,
    /// Seconds after which a browser without JavaScript looks again.
    refresh: u32,
    offered: Offered,
    /// What a held change touches, for those who may see that.
    touched: Option<Touched>,
    about: About,
    course: Option<Course>,
    report: Option<Reported>,
    jobs: Vec<Listed>,
    graph: Option<Graph>,
    artifacts: Artifacts,
    /// The log's own page.
    log_address: Option<String>,
    log: Option<LogWindow>,
    /// The last lines of what went before the script, where that is why there is none.
    preparation: Option<LogWindow>,
    commands: Vec<words::Command>,
}

/// What its script has reported.
#[derive(Debug)]
struct Reported {
    summary: String,
    tests: Option<String>,
    failures: Vec<(String, String)>,
    /// Failed ones that are not named.
    more: u64,
}

/// A job in the list.
#[derive(Debug)]
struct Listed {
    name: Named,
    face: Face,
    reason: String,
    needs: String,
}

impl BuildPage {
    fn of(app: &App, shown: &Shown<'_>, chrome: Chrome, gathered: Gathered, now: Timestamp) -> Self {
        let Gathered { artifacts, logs, offered, touched } = gathered;
        let view = &shown.view;
        let node = view.placed.as_ref().map(|placed| text::name(&placed.node)).filter(|node| !node.is_empty());
        let drawn: Vec<Drawn> = view.jobs.iter().map(|job| drawn(shown, job)).collect();
        let jobs = view.jobs.iter().zip(&drawn).map(|(job, drawn)| listed(job, drawn));
        Self {
            face: face(view.state),
            headline: words::headline(view),
            why: words::why(view),
            hint: words::hint(view),
            trouble: view.trouble.as_deref().filter(|_| !view.reason.contains("Failed: ")).map(text::name),
            stopping: view.stopping.as_deref().map(text::name),
            ended: view.ended,
            refresh: if view.state == "held" { 60 } else { 10 },
            offered,
            touched,
            about: About::of(app, shown, now),
            course: Course::of(&view.timeline, node.as_deref(), now),
            report: view.report.as_ref().map(reported).filter(Reported::says_something),
            jobs: jobs.collect(),
            graph: Graph::of(&drawn),
            commands: words::commands(app, view, &artifacts),
            artifacts,
            log_address: logs.address,
            log: logs.script,
            preparation: logs.preparation,
            chrome,
        }
    }
}

impl Reported {
    fn says_something(&self) -> bool {
        !self.summary.is_empty() || self.tests.is_some()
    }
}

fn reported(report: &Report) -> Reported {
    let tests = report.tests.as_ref();
    let failures = tests.map(|tests| tests.failures.as_slice()).unwrap_or_default();
    let named = u64::try_from(failures.len()).unwrap_or(u64::MAX);
    Reported {
        summary: text::lines(report.summary.trim_end()),
        tests: tests.and_then(|tests| tests.counts.sentence()),
        failures: failures.iter().map(|failed| (text::lines(&failed.name), text::lines(&failed.message))).collect(),
        more: tests.map(|tests| tests.counts.failed.saturating_sub(named)).unwrap_or_default(),
    }
}

/// A key opens one page alone, so for who came with it the jobs are no links.
fn drawn(shown: &Shown<'_>, job: &JobView) -> Drawn {
    let address = match &job.build {
        Some(build) => Address::of_build(&shown.base, build, None),
        None => Address::of_claim(&shown.base, &job.claim, None),
    };
    Drawn {
        name: job.name.to_string(),
        state: job.state.as_str(),
        needs: job.needs.iter().map(ToString::to_string).collect(),
        href: (!shown.by_key_alone).then(|| address.page()),
    }
}

fn listed(job: &JobView, drawn: &Drawn) -> Listed {
    Listed {
        name: Named { text: text::name(&drawn.name), href: drawn.href.clone() },
        face: face(drawn.state),
        reason: text::name(&job.reason),
        needs: drawn.needs.join(", "),
    }
}
