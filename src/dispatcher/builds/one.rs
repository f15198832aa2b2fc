//! One build, by its id or by its claim.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use super::{build_id, readable};
use crate::dispatcher::access::{self, Credentials};
use crate::dispatcher::answer::{Answer, Problem};
use crate::dispatcher::form::Form;
use crate::dispatcher::hook::registry_down;
use crate::dispatcher::known::{self, Known, LookupError, Tracked};
use crate::dispatcher::openapi::{BuildPath, ClaimPath, Reading};
use crate::dispatcher::signin::Visitor;
use crate::dispatcher::view::{BuildView, JobView};
use crate::dispatcher::{App, SharedApp, events, history, pages, session, verdict, waits};
use crate::domain::config::RepoConfig;
use crate::domain::history::Story;
use crate::domain::id::{ClaimId, JobName};
use crate::domain::outcome::Verdict;
use crate::domain::record::{Phase, Record};
use crate::domain::report::Report;
use crate::registry::Stored;

/// How old a list of open changes may be in which a build's jobs are looked up for its page.
const JOBS_SHOWN_FOR: Duration = Duration::from_secs(1);

/// One build
///
/// How far it is, or how it ended, and what it has reported.
#[utoipa::path(get, path = "/builds/{builder}/{child}", tag = "people", operation_id = "get_build", params(BuildPath),
    responses(
        (status = 200, description = "The build.", content((BuildView = "application/json"), (String = "text/plain"), (String = "text/html"), (String = "text/event-stream"))),
        (status = 204, description = "Events: it is over, and the reader was told so."),
        Reading,
    ),
    security((), ("bearer" = []), ("token" = []), ("key" = []), ("signin" = [])),)]
pub(crate) async fn one(
    State(app): State<SharedApp>,
    Path(path): Path<(String, String)>,
    credentials: Credentials,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let build = build_id(path)?;
    if Form::of(&headers) == Form::Events {
        return events::of_build(&app, &build, credentials, &headers).await;
    }
    let known = readable(&app, &build, &credentials).await?;
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
    view.report = match &known.kept {
        Some(kept) => kept.story.report.clone(),
        None => report(&app, known.claim.as_ref()).await,
    };
    view.jobs = jobs;
    let viewer = Viewer { credentials: &credentials, visitor: &visitor, headers: &headers };
    show(&app, Shown { view, known: Some(known), held: None }, viewer).await
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

/// One change, which may have no build yet
///
/// The address that a forge or `trigger` is answered while there is no build.
#[utoipa::path(get, path = "/builds/claim/{claim}", tag = "people", operation_id = "get_claim", params(ClaimPath),
    responses(
        (status = 200, description = "The build.", content((BuildView = "application/json"), (String = "text/plain"), (String = "text/html"), (String = "text/event-stream"))),
        (status = 204, description = "Events: it is over, and the reader was told so."),
        Reading,
    ),
    security((), ("bearer" = []), ("token" = []), ("key" = []), ("signin" = [])),)]
pub(crate) async fn one_by_claim(
    State(app): State<SharedApp>,
    Path(claim): Path<String>,
    credentials: Credentials,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let claim: ClaimId = claim.parse().map_err(|_no_claim| Problem::not_found())?;
    if Form::of(&headers) == Form::Events {
        return events::of_claim(&app, &claim, credentials, &headers).await;
    }
    let open = app.registry.open(&claim).await.map_err(|error| registry_down(&error))?;
    let mut shown = match open {
        Some(stored) => of_open(&app, &claim, stored, &credentials).await?,
        None => of_ended(&app, &claim, &credentials).await?,
    };
    if shown.view.report.is_none() {
        shown.view.report = report(&app, Some(&claim)).await;
    }
    let viewer = Viewer { credentials: &credentials, visitor: &visitor, headers: &headers };
    show(&app, shown, viewer).await
}

/// A change that is not over, or not reported yet.
async fn of_open(
    app: &SharedApp,
    claim: &ClaimId,
    stored: Stored<Record>,
    credentials: &Credentials,
) -> Result<Shown, Problem> {
    let record = &stored.value;
    shown_by_claim(app, claim, (record.private, &record.repo), credentials).await?;
    let verdict = match (&record.phase, &record.build) {
        (Phase::Ended { outcome }, _) => Verdict::Ended(outcome.clone()),
        (Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched, None) => {
            waits::glance(app, claim, record).await.map_err(|error| registry_down(&error))?
        }
        (Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched, Some(build)) => {
            verdict::of_open(app, claim, build, record).await?
        }
    };
    let view = BuildView {
        jobs: jobs(app, &record.jobs, Of::Open).await,
        ..BuildView::of_record(app, claim, record, &verdict)
    };
    let held = matches!(record.phase, Phase::Held).then(|| Box::new(record.clone()));
    let known = record.build.clone().map(|build| known::of_open(&build, claim, stored));
    Ok(Shown { view, known, held })
}

/// One that is over, as the registry knows it, or the store.
async fn of_ended(app: &SharedApp, claim: &ClaimId, credentials: &Credentials) -> Result<Shown, Problem> {
    let story = match app.registry.done(claim).await.map_err(|error| registry_down(&error))? {
        Some(done) => Story { claim: claim.clone(), done, report: None },
        None => forgotten(app, claim).await?,
    };
    shown_by_claim(app, claim, (story.done.private, &story.done.repo), credentials).await?;
    let jobs = jobs(app, &story.done.jobs, Of::Ended).await;
    let view = BuildView { report: story.report, jobs, ..BuildView::of_done(app, claim, &story.done) };
    let known = story.done.build.clone().map(|build| known::of_done(&build, claim, story.done));
    Ok(Shown { view, known, held: None })
}

/// A change that only the store still knows.
pub(crate) async fn forgotten(app: &App, claim: &ClaimId) -> Result<Story, Problem> {
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

/// What is shown in one form or another.
struct Shown {
    view: BuildView,
    /// What was looked up; none of a change that has no build.
    known: Option<Known>,
    /// The record of what is held.
    held: Option<Box<Record>>,
}

/// Who looks at it, and how.
#[derive(Clone, Copy)]
struct Viewer<'a> {
    credentials: &'a Credentials,
    visitor: &'a Visitor,
    headers: &'a HeaderMap,
}

async fn show(app: &SharedApp, shown: Shown, viewer: Viewer<'_>) -> Result<Response, Problem> {
    let Shown { view, known, held } = shown;
    let Viewer { credentials, visitor, headers } = viewer;
    match Form::of(headers) {
        Form::Page => {
            pages::build::show(pages::build::Ask {
                app,
                view,
                known: known.as_ref(),
                held: held.as_deref(),
                credentials,
                visitor,
            })
            .await
        }
        Form::Text | Form::Json | Form::Events => Ok(told(app, &view, headers)),
    }
}

fn told(app: &App, view: &BuildView, headers: &HeaderMap) -> Response {
    let object = serde_json::to_value(view).unwrap_or_default();
    let name = view
        .build
        .as_ref()
        .map_or_else(|| view.claim.as_ref().map(ToString::to_string), |build| Some(build.to_string()));
    let mut answer = Answer::new(StatusCode::OK, name.unwrap_or_default(), object);
    answer.lines.push(format!("{}: {}", view.state, view.reason));
    if let Some(runner) = &view.runner {
        let page = runner.job.url.as_deref().unwrap_or_default();
        answer.lines.push(format!("runner for job {} of {} {page}", runner.job.id, runner.job.repo));
    }
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
