//! Builds as people and programs see them: one, or a list.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;

use super::access::{self, Credentials};
use super::answer::{Answer, Problem};
use super::history;
use super::hook::registry_down;
use super::known::{self, Known, LookupError, Tracked};
use super::verdict;
use super::view::{BuildView, JobView};
use super::waits::{self, Waits};
use super::{App, SharedApp, session};
use crate::domain::config::RepoConfig;
use crate::domain::history::Story;
use crate::domain::id::{BuildId, ClaimId, JobName};
use crate::domain::outcome::Verdict;
use crate::domain::record::Phase;
use crate::domain::report::Report;

/// How old a list of open changes may be in which a build's jobs are looked up for its page.
const JOBS_SHOWN_FOR: Duration = Duration::from_secs(1);

/// The build's id from its two path segments.
pub(crate) fn build_id((builder, child): (String, String)) -> Result<BuildId, Problem> {
    format!("{builder}/{child}").parse().map_err(|_no_id| Problem::not_found())
}

/// What is known of a build, if this caller may see it.
pub(crate) async fn readable(app: &App, build: &BuildId, credentials: &Credentials) -> Result<Known, Problem> {
    let known = known::find(app, build).await?.ok_or_else(Problem::not_found)?;
    shown_to(app, known, credentials).await
}

/// The same for readers of logs, who come in hundreds; what is known may be a second old.
pub(crate) async fn readable_by_many(app: &App, build: &BuildId, credentials: &Credentials) -> Result<Known, Problem> {
    let known = known::find_shared(app, build).await?.ok_or_else(Problem::not_found)?;
    shown_to(app, known, credentials).await
}

async fn shown_to(app: &App, known: Known, credentials: &Credentials) -> Result<Known, Problem> {
    if access::may_read(app, &known, credentials).await.map_err(|error| registry_down(&error))? {
        return Ok(known);
    }
    Err(Problem::not_found())
}

impl From<LookupError> for Problem {
    fn from(error: LookupError) -> Self {
        tracing::error!(error = &error as &dyn std::error::Error, "a build could not be looked up");
        Self::unavailable(match error {
            LookupError::Registry(_) | LookupError::Engine(_) => "Nomad or Consul does not answer; try again",
            LookupError::Store(_) => "the store does not answer; try again",
        })
    }
}

/// `GET /builds/{builder}/{child}`
pub(crate) async fn one(
    State(app): State<SharedApp>,
    Path(path): Path<(String, String)>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let known = readable(&app, &build_id(path)?, &credentials).await?;
    let verdict = verdict::of_known(&app, &known).await?;
    let jobs = match &known.tracked {
        Tracked::Open(stored) => jobs(&app, &stored.value.jobs, Of::Open).await,
        Tracked::Done(done) => jobs(&app, &done.jobs, Of::Ended).await,
        Tracked::Not => Vec::new(),
    };
    let mut view = match (&known.tracked, &known.claim) {
        (Tracked::Open(stored), Some(claim)) => BuildView::of_record(&app, claim, &stored.value, &verdict),
        (Tracked::Done(done), Some(claim)) => BuildView::of_done(&app, claim, done),
        (Tracked::Not | Tracked::Open(_) | Tracked::Done(_), _) => {
            let mut view =
                BuildView { build: Some(known.build.clone()), repo: known.repo.clone(), ..BuildView::unknown() };
            view.set_verdict(&verdict);
            view
        }
    };
    view.report = match known.kept {
        Some(kept) => kept.story.report,
        None => report(&app, known.claim.as_ref()).await,
    };
    view.jobs = jobs;
    Ok(show(&app, &view, &headers))
}

/// Whose jobs are looked up: those of a build that is over are over too, or will be at once, and are not looked for among
/// what is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Open,
    Ended,
}

/// What it has started beside itself; without it a build can be shown as well.
async fn jobs(app: &App, named: &BTreeMap<JobName, ClaimId>, of: Of) -> Vec<JobView> {
    if named.is_empty() {
        return Vec::new();
    }
    let now = Instant::now();
    let told = async {
        let open = match of {
            Of::Open => app.known.open(app, now.checked_sub(JOBS_SHOWN_FOR).unwrap_or(now)).await?,
            Of::Ended => Arc::default(),
        };
        session::jobs::told(app, named, &open, None).await
    };
    match told.await {
        Ok(told) => told.into_iter().map(|job| JobView::of(app, job)).collect(),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a build's jobs could not be read");
            Vec::new()
        }
    }
}

/// What its script has reported; without it a build can be shown as well.
async fn report(app: &App, claim: Option<&ClaimId>) -> Option<Report> {
    let read = app.registry.report(claim?).await;
    read.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a build's report could not be read");
        None
    })
}

/// `GET /builds/claim/{claim}`: the address of a change that may have no build yet.
pub(crate) async fn one_by_claim(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let claim: ClaimId = claim.parse().map_err(|_no_claim| Problem::not_found())?;
    let mut view = match app.registry.open(&claim).await.map_err(|error| registry_down(&error))? {
        Some(stored) => {
            let record = stored.value;
            shown_by_claim(&app, &claim, (record.private, &record.repo), &credentials).await?;
            let verdict = match (&record.phase, &record.build) {
                (Phase::Ended { outcome }, _) => Verdict::Ended(outcome.clone()),
                (Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched, None) => {
                    waits::glance(&app, &claim, &record).await.map_err(|error| registry_down(&error))?
                }
                (Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched, Some(build)) => {
                    verdict::of_open(&app, &claim, build, record.stop.as_ref()).await?
                }
            };
            BuildView {
                jobs: jobs(&app, &record.jobs, Of::Open).await,
                ..BuildView::of_record(&app, &claim, &record, &verdict)
            }
        }
        None => {
            let done = app.registry.done(&claim).await.map_err(|error| registry_down(&error))?;
            let story = match done {
                Some(done) => Story { claim: claim.clone(), done, report: None },
                None => forgotten(&app, &claim).await?,
            };
            shown_by_claim(&app, &claim, (story.done.private, &story.done.repo), &credentials).await?;
            let jobs = jobs(&app, &story.done.jobs, Of::Ended).await;
            BuildView { report: story.report, jobs, ..BuildView::of_done(&app, &claim, &story.done) }
        }
    };
    if view.report.is_none() {
        view.report = report(&app, Some(&claim)).await;
    }
    Ok(show(&app, &view, &headers))
}

/// A change that only the store still knows.
pub(super) async fn forgotten(app: &App, claim: &ClaimId) -> Result<Story, Problem> {
    let kept = history::claim(app, claim).await.map_err(LookupError::from)?;
    kept.map(|kept| kept.story).ok_or_else(Problem::not_found)
}

/// Refuses who may not see a change of `repo`, before anything more is read for him.
async fn shown_by_claim(
    app: &App,
    claim: &ClaimId,
    (private, repo): (bool, &str),
    credentials: &Credentials,
) -> Result<(), Problem> {
    if !private {
        return Ok(());
    }
    let config = access::config_of(app, repo).await.map_err(|error| registry_down(&error))?;
    let sees = |config: RepoConfig| credentials.reads(app, &config) || credentials.opens_claim(&config, claim);
    if config.is_some_and(sees) { Ok(()) } else { Err(Problem::not_found()) }
}

fn show(app: &App, view: &BuildView, headers: &HeaderMap) -> Response {
    let object = serde_json::to_value(view).unwrap_or_default();
    let name = view
        .build
        .as_ref()
        .map_or_else(|| view.claim.as_ref().map(ToString::to_string), |build| Some(build.to_string()));
    let mut answer = Answer::new(StatusCode::OK, name.unwrap_or_default(), object);
    answer.lines.push(format!("{}: {}", view.state, view.reason));
    if let (Some(repo), Some(git_ref), Some(commit)) = (&view.repo, &view.git_ref, &view.commit) {
        answer.lines.push(format!("{repo} {git_ref} {commit}"));
    }
    if let (Some(job), Some(parent)) = (&view.job, &view.parent) {
        answer.lines.push(format!("job {job} of {}", app.link(&format!("/builds/claim/{parent}"))));
    }
    answer.lines.extend(view.log.iter().cloned());
    answer.lines.extend(view.jobs.iter().map(JobView::line));
    answer.lines.extend(view.report.iter().flat_map(report_lines));
    answer.into_form(headers)
}

/// What a script has reported, behind what Albatros knows of it.
fn report_lines(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(tests) = &report.tests {
        lines.extend(tests.counts.sentence());
        lines.extend(tests.failures.iter().map(|failed| format!("  failed: {} {}", failed.name, failed.message)));
    }
    if !report.summary.is_empty() {
        lines.extend([String::new(), report.summary.clone()]);
    }
    lines
}

/// The query of a list.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ListQuery {
    repo: Option<String>,
    branch: Option<String>,
    state: Option<String>,
    /// The login of who started it, in any case.
    sender: Option<String>,
    flavor: Option<String>,
    event: Option<String>,
    limit: Option<usize>,
    /// Only those that were claimed before this: the next part of a list.
    before: Option<Timestamp>,
    /// What builds have started beside themselves is listed too.
    jobs: Option<bool>,
}

/// The longest list.
const LIST_MOST: usize = 1000;
/// A list without `limit`.
const LIST_USUAL: usize = 50;

/// `GET /builds?repo=&branch=&state=&sender=&flavor=&event=&limit=&before=&jobs=`: newest first. Private builds only for a bearer of their
/// repository.
pub(crate) async fn list(
    State(app): State<SharedApp>,
    Query(query): Query<ListQuery>,
    credentials: Credentials,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let views = all(&app, &credentials, &query).await?;
    if super::answer::wants_json(&headers) {
        return Ok(Json(views).into_response());
    }
    let line = |view: &BuildView| {
        let name = view.build.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
        let git_ref = view.git_ref.clone().unwrap_or_default();
        format!("{name}\t{}\t{}\t{git_ref}", view.state, view.repo.clone().unwrap_or_default())
    };
    let answer =
        Answer { status: StatusCode::OK, lines: views.iter().map(line).collect(), object: serde_json::Value::Null };
    Ok(answer.into_form(&headers))
}

async fn all(app: &App, credentials: &Credentials, query: &ListQuery) -> Result<Vec<BuildView>, Problem> {
    let open = app.known.open(app, Instant::now()).await.map_err(|error| registry_down(&error))?;
    let done = app.known.done(app, &open).await.map_err(|error| registry_down(&error))?;
    let entries = app.registry.entries().await.map_err(|error| registry_down(&error))?;
    let waits = Waits::of(&open, &entries);
    let of_open = open
        .iter()
        .map(|(claim, stored)| BuildView::of_record(app, claim, &stored.value, &waits.glance(claim, &stored.value)));
    let still_open: HashSet<&ClaimId> = open.iter().map(|(claim, _)| claim).collect();
    let of_done = done
        .iter()
        .filter(|(claim, _)| !still_open.contains(claim))
        .map(|(claim, done)| BuildView::of_done(app, claim, done));
    let mut views: Vec<BuildView> = of_open.chain(of_done).filter(|view| query.takes(view)).collect();
    let theirs = entries.iter().filter(|found| credentials.reads(app, &found.config));
    let readable: HashSet<&String> = theirs.map(|found| &found.repo).collect();
    let visible = |view: &BuildView| !view.private || view.repo.as_ref().is_some_and(|repo| readable.contains(repo));
    views.retain(visible);
    views.sort_by_key(|view| std::cmp::Reverse(view.created));
    let most = query.limit.unwrap_or(LIST_USUAL).clamp(1, LIST_MOST);
    views.truncate(most);
    if views.len() < most && app.store.is_some() {
        let known = open.iter().map(|(claim, _)| claim).chain(done.iter().map(|(claim, _)| claim)).cloned().collect();
        let wanted = |view: &BuildView| query.takes(view) && visible(view);
        views.extend(older(app, query, &known, most - views.len(), wanted).await);
    }
    Ok(views)
}

/// What only the store still knows. Without it a list is shorter, and a list all the same.
async fn older(
    app: &App,
    query: &ListQuery,
    known: &HashSet<ClaimId>,
    most: usize,
    wanted: impl Fn(&BuildView) -> bool,
) -> Vec<BuildView> {
    let view = |story: &Story| BuildView::of_done(app, &story.claim, &story.done);
    let read = history::list(app, query.before, known, most, |story| wanted(&view(story))).await;
    let stories = read.unwrap_or_else(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "what ended long ago could not be listed");
        Vec::new()
    });
    stories.iter().map(view).collect()
}

impl ListQuery {
    fn takes(&self, view: &BuildView) -> bool {
        let branch = |wanted: &String| view.git_ref.as_deref() == Some(&format!("refs/heads/{wanted}"));
        let sender = |wanted: &String| view.sender.as_ref().is_some_and(|sender| sender.eq_ignore_ascii_case(wanted));
        (view.job.is_none() || self.jobs == Some(true))
            && self.repo.as_ref().is_none_or(|wanted| view.repo.as_ref() == Some(wanted))
            && self.branch.as_ref().is_none_or(branch)
            && self.state.as_ref().is_none_or(|wanted| view.state == wanted)
            && self.sender.as_ref().is_none_or(sender)
            && self.flavor.as_ref().is_none_or(|wanted| view.flavor.as_ref() == Some(wanted))
            && self.event.as_ref().is_none_or(|wanted| view.event == Some(wanted.as_str()))
            && self.before.is_none_or(|before| view.created.is_some_and(|created| created < before))
    }
}
