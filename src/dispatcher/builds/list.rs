//! Builds in a list, newest first.

use std::collections::HashSet;
use std::time::Instant;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::dispatcher::access::Credentials;
use crate::dispatcher::answer::{Answer, Problem};
use crate::dispatcher::form::Form;
use crate::dispatcher::hook::registry_down;
use crate::dispatcher::openapi::Listing;
use crate::dispatcher::pages::{
    self,
    list::{Filters, Listed},
};
use crate::dispatcher::signin::Visitor;
use crate::dispatcher::view::BuildView;
use crate::dispatcher::waits::Waits;
use crate::dispatcher::{App, SharedApp, history};
use crate::domain::history::Story;
use crate::domain::id::ClaimId;

/// The query of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct ListQuery {
    /// Of this repository, by the address in its configuration key.
    repo: Option<String>,
    /// A branch's name.
    branch: Option<String>,
    /// As a build's `state`.
    state: Option<String>,
    /// The login of who started it, in any case.
    sender: Option<String>,
    flavor: Option<String>,
    /// `push`, `tag` or `pull_request`.
    event: Option<String>,
    /// So many at most: 50, and never more than 1000.
    #[param(minimum = 1, maximum = 1000)]
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

/// Builds, newest first
///
/// Private ones only for a bearer of their repository.
#[utoipa::path(get, path = "/builds", tag = "people", operation_id = "list_builds", params(ListQuery),
    responses(
        (status = 200, description = "The builds; as text one a line: id, state, repository and ref.",
            content((Vec<BuildView> = "application/json"), (String = "text/plain"), (String = "text/html"))),
        Listing,
    ),
    security((), ("bearer" = []), ("token" = []), ("signin" = [])),)]
pub(crate) async fn list(
    State(app): State<SharedApp>,
    Query(query): Query<ListQuery>,
    credentials: Credentials,
    visitor: Visitor,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = query.without_empty();
    let views = all(&app, &credentials, &query).await?;
    match Form::of(&headers) {
        Form::Json => return Ok(Json(views).into_response()),
        Form::Page => {
            let entries = app.registry.entries().await.map_err(|error| registry_down(&error))?;
            let listed = Listed { views: &views, entries: &entries, is_full: views.len() >= query.most() };
            return Ok(pages::list::show(&app, &visitor, &query.filters(), &listed));
        }
        Form::Text | Form::Events => {}
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
    let most = query.most();
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
    /// A form sends its empty fields too.
    fn without_empty(self) -> Self {
        let some = |text: Option<String>| text.filter(|text| !text.is_empty());
        let Self { repo, branch, state, sender, flavor, event, .. } = self;
        let (repo, branch, state) = (some(repo), some(branch), some(state));
        Self { repo, branch, state, sender: some(sender), flavor: some(flavor), event: some(event), ..self }
    }

    fn most(&self) -> usize {
        self.limit.unwrap_or(LIST_USUAL).clamp(1, LIST_MOST)
    }

    fn filters(&self) -> Filters {
        let Self { repo, branch, state, sender, flavor, event, limit, before, jobs } = self;
        let (repo, branch, state) = (repo.clone(), branch.clone(), state.clone());
        let (sender, flavor, event) = (sender.clone(), flavor.clone(), event.clone());
        Filters {
            repo,
            branch,
            state,
            sender,
            flavor,
            event,
            limit: *limit,
            before: *before,
            jobs: *jobs == Some(true),
        }
    }

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
