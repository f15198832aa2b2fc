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

use super::wanted::{Sight, Wanted};
use crate::dispatcher::access::Credentials;
use crate::dispatcher::answer::{Answer, Problem};
use crate::dispatcher::form::Form;
use crate::dispatcher::history::Seen;
use crate::dispatcher::hook::registry_down;
use crate::dispatcher::known::OpenList;
use crate::dispatcher::openapi::Listing;
use crate::dispatcher::pages::{
    self,
    list::{Filters, Listed},
};
use crate::dispatcher::signin::Visitor;
use crate::dispatcher::view::BuildView;
use crate::dispatcher::waits::Waits;
use crate::dispatcher::{App, SharedApp, events, history};
use crate::domain::history::Story;
use crate::domain::id::ClaimId;
use crate::domain::record::Record;
use crate::registry::Found;

/// The query of a list.
#[derive(Debug, Default, Deserialize, IntoParams)]
pub(crate) struct ListQuery {
    /// Of this repository, by any spelling of its address.
    pub(super) repo: Option<String>,
    /// A branch's name.
    pub(super) branch: Option<String>,
    /// As a build's `state`.
    pub(super) state: Option<String>,
    /// The login of who started it, in any case.
    pub(super) sender: Option<String>,
    pub(super) flavor: Option<String>,
    /// `push`, `tag` or `pull_request`.
    pub(super) event: Option<String>,
    /// So many at most: 50, and never more than 1000.
    #[param(minimum = 1, maximum = 1000)]
    pub(super) limit: Option<usize>,
    /// Only those that were claimed before this: the next part of a list.
    pub(super) before: Option<Timestamp>,
    /// What builds have started beside themselves is listed too.
    pub(super) jobs: Option<bool>,
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
            content((Vec<BuildView> = "application/json"), (String = "text/plain"), (String = "text/html"), (String = "text/event-stream"))),
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
    if Form::of(&headers) == Form::Events {
        return events::of_list(&app, query, credentials, &headers).await;
    }
    let entries = app.registry.entries().await.map_err(|error| registry_down(&error))?;
    let views = all(&app, &credentials, &entries, &query).await?;
    match Form::of(&headers) {
        Form::Json => return Ok(Json(views).into_response()),
        Form::Page => {
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

/// The builds that this caller may see and that the query takes: newest first.
async fn all(
    app: &App,
    credentials: &Credentials,
    entries: &[Found],
    query: &ListQuery,
) -> Result<Vec<BuildView>, Problem> {
    let open = app.known.open(app, Instant::now()).await.map_err(|error| registry_down(&error))?;
    let ended = app.known.done(app, &open).await.map_err(|error| registry_down(&error))?;
    let wanted = Wanted::of(query);
    let sight = Sight::of(app, credentials, entries);
    let most = query.most();
    let mut views = of_open(app, &wanted, (&open, &Waits::of(&open, entries)), &sight, most);
    let still_open: HashSet<&ClaimId> = open.iter().map(|(claim, _)| claim).collect();
    let rows = wanted.rows(&ended.table(), &sight, |claim| still_open.contains(claim), most);
    views.extend(rows.iter().map(|(claim, done)| BuildView::of_done(app, claim, done)));
    views.sort_by_key(|view| std::cmp::Reverse(view.created));
    views.truncate(most);
    if views.len() < most && app.store.is_some() {
        let count = open.len() + ended.table().all().len();
        let has = |claim: &ClaimId| still_open.contains(claim) || ended.table().claim(claim).is_some();
        let taken = |view: &BuildView| wanted.takes(view) && sight.takes(view.private, view.repo.as_deref());
        views.extend(older(app, query, Seen { count, has: &has }, most - views.len(), taken).await);
    }
    Ok(views)
}

/// The open ones, newest first; views are made only as long as they are needed.
fn of_open(
    app: &App,
    wanted: &Wanted<'_>,
    (open, waits): (&OpenList, &Waits<'_>),
    sight: &Sight<'_>,
    most: usize,
) -> Vec<BuildView> {
    let is_seen = |record: &Record| wanted.takes_record(record) && sight.takes(record.private, Some(&record.repo));
    let mut theirs: Vec<_> = open.iter().filter(|(_, stored)| is_seen(&stored.value)).collect();
    theirs.sort_by_key(|(_, stored)| std::cmp::Reverse(stored.value.created));
    let views = theirs.into_iter().map(|(claim, stored)| {
        let record = &stored.value;
        BuildView::of_record(app, claim, record, &waits.glance(claim, record))
    });
    views.filter(|view| wanted.takes(view)).take(most).collect()
}

/// What only the store still knows. Without it a list is shorter, and a list all the same.
async fn older(
    app: &App,
    query: &ListQuery,
    known: Seen<'_>,
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
}
