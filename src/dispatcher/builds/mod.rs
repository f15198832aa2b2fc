//! Builds as people and programs see them: one, or a list.

pub(crate) mod latest;
pub(crate) mod list;
pub(crate) mod one;
mod wanted;

use super::App;
use super::access::{self, Credentials};
use super::answer::Problem;
use super::hook::registry_down;
use super::known::{self, Known, LookupError};
use crate::domain::id::BuildId;

pub(crate) use latest::latest;
pub(crate) use list::{ListQuery, list};
pub(super) use one::forgotten;
pub(crate) use one::{one, one_by_claim};
pub(crate) use wanted::{Sight, Wanted};

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
