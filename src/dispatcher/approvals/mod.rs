//! Who lets pull requests from outside be built: a person for one change, or for a sender once and for all. Neither gives
//! a build the repository's secrets.

pub(crate) mod approve;
mod files;
pub(crate) mod senders;
pub(crate) mod shown;

pub(super) use approve::approve;
pub(super) use files::{Files, Script, of as files_of};
pub(super) use senders::{add, list, remove};
pub(super) use shown::held;

use std::time::Duration;

use axum::http::StatusCode;

use super::App;
use super::answer::Problem;
use super::hook::registry_down;
use crate::domain::approval::{ApprovalError, Approved};
use crate::domain::plan::Plan;
use crate::domain::record::ApprovedBy;
use crate::registry::Written;

/// Tries of one write against other writers of the same list; each lost one means that another got through.
const TRIES: usize = 10;
/// How long the list may take to be read; the hook's answer waits for it.
const READ_WITHIN: Duration = Duration::from_secs(1);

/// Whether a change that is to be held is let through because its sender is approved always. A list that cannot be read
/// lets nobody through.
pub(super) async fn standing(app: &App, plan: &Plan) -> Option<ApprovedBy> {
    let pull = plan.change.pull.as_ref()?;
    let found = match tokio::time::timeout(READ_WITHIN, app.registry.approved(&plan.canonical)).await {
        Ok(Ok(found)) => found?,
        Ok(Err(error)) => {
            tracing::warn!(
                repo = plan.canonical,
                error = &error as &dyn std::error::Error,
                "it is held: who is approved always could not be read"
            );
            return None;
        }
        Err(_elapsed) => {
            tracing::warn!(repo = plan.canonical, "it is held: who is approved always could not be read in time");
            return None;
        }
    };
    found.value.covers(&plan.change.sender, pull).then_some(ApprovedBy::Always)
}

/// Changes a repository's list by compare-and-set. `change` says whether it changed anything; so does the answer.
async fn change_list(
    app: &App,
    canonical: &str,
    mut change: impl FnMut(&mut Approved) -> Result<bool, ApprovalError>,
) -> Result<bool, Problem> {
    for _ in 0..TRIES {
        let found = app.registry.approved(canonical).await.map_err(|error| registry_down(&error))?;
        let index = found.as_ref().map(|stored| stored.index);
        let mut list = found.map_or_else(|| Approved::nobody(canonical), |stored| stored.value);
        if !change(&mut list)? {
            return Ok(false);
        }
        match app.registry.set_approved(&list, index).await.map_err(|error| registry_down(&error))? {
            Written::Yes(_) => return Ok(true),
            Written::Conflict | Written::LeaseLost => {}
        }
    }
    Err(Problem::unavailable("the list of approved senders is being written by others; try again"))
}

impl From<ApprovalError> for Problem {
    fn from(error: ApprovalError) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string())
    }
}
