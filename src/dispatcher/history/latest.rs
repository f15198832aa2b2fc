//! The newest outcome of a ref, for a badge.

use std::collections::HashSet;
use std::time::Instant;

use jiff::Timestamp;

use super::find::list;
use crate::api::store::StoreError;
use crate::dispatcher::App;
use crate::domain::history::Story;
use crate::domain::id::ClaimId;
use crate::domain::outcome::Outcome;
use crate::registry::RegistryError;

/// How the newest ended change of a ref came out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latest {
    /// Which.
    pub(crate) claim: ClaimId,
    /// How.
    pub(crate) outcome: Outcome,
    /// When it was claimed.
    pub(crate) created: Timestamp,
    /// Whether only readers with a credential may know.
    pub(crate) private: bool,
}

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LatestError {
    /// Try again.
    #[error("the registry does not answer")]
    Registry(#[from] RegistryError),
    /// Try again.
    #[error("the store does not answer")]
    Store(#[from] StoreError),
}

/// Of a ref of a repository, by the spelling in its records; none where none is known. Jobs do not count.
///
/// # Errors
/// See [`LatestError`].
#[cfg_attr(not(test), expect(dead_code, reason = "the badge will ask it"))]
pub(crate) async fn latest(app: &App, repo: &str, git_ref: &str) -> Result<Option<Latest>, LatestError> {
    let is_theirs =
        |story: &Story| story.done.repo == repo && story.done.git_ref == git_ref && story.done.parent.is_none();
    let open = app.known.open(app, Instant::now()).await?;
    let done = app.known.done(app, &open).await?;
    let theirs = done.iter().map(|(claim, done)| Story::of(claim, done, None)).filter(is_theirs);
    let newest = match theirs.max_by_key(|story| story.done.created) {
        Some(newest) => Some(newest),
        None => {
            let known: HashSet<ClaimId> = done.iter().map(|(claim, _)| claim.clone()).collect();
            list(app, None, &known, 1, is_theirs).await?.pop()
        }
    };
    Ok(newest.map(|story| Latest {
        claim: story.claim,
        outcome: story.done.outcome,
        created: story.done.created,
        private: story.done.private,
    }))
}
