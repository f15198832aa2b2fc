//! The newest outcome of a ref, for a badge.

use std::collections::HashSet;
use std::time::Instant;

use jiff::Timestamp;

use super::find::list_in;
use crate::api::store::{Store, StoreError};
use crate::dispatcher::App;
use crate::domain::id::ClaimId;
use crate::domain::outcome::Outcome;
use crate::domain::record::Done;
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
#[expect(dead_code, reason = "the badge will ask it")]
pub(crate) async fn latest(app: &App, repo: &str, git_ref: &str) -> Result<Option<Latest>, LatestError> {
    let open = app.known.open(app, Instant::now()).await?;
    let done = app.known.done(app, &open).await?;
    Ok(among(&done, app.store.as_ref(), repo, git_ref).await?)
}

/// Among those that the registry knows; else among those that the store knows.
async fn among(
    done: &[(ClaimId, Done)],
    store: Option<&Store>,
    repo: &str,
    git_ref: &str,
) -> Result<Option<Latest>, StoreError> {
    let is_theirs = |done: &Done| done.repo == repo && done.git_ref == git_ref && done.parent.is_none();
    let theirs = done.iter().filter(|(_, done)| is_theirs(done));
    if let Some((claim, done)) = theirs.max_by_key(|(_, done)| done.created) {
        return Ok(Some(Latest::of(claim, done)));
    }
    let Some(store) = store else { return Ok(None) };
    let known: HashSet<ClaimId> = done.iter().map(|(claim, _)| claim.clone()).collect();
    let older = list_in(store, None, &known, 1, |story| is_theirs(&story.done)).await?;
    Ok(older.first().map(|story| Latest::of(&story.claim, &story.done)))
}

impl Latest {
    fn of(claim: &ClaimId, done: &Done) -> Self {
        Self { claim: claim.clone(), outcome: done.outcome.clone(), created: done.created, private: done.private }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatcher::history::tests::{REPO, done, kept};

    #[tokio::test]
    async fn the_newest_outcome_of_a_ref_is_known_for_long() {
        let store = Store::memory();
        let old = [done(1, Outcome::Success), done(2, Outcome::Expired), done(3, Outcome::Success)];
        for one in &old {
            kept(&store, one).await;
        }
        let mut other = done(4, Outcome::Success);
        other.1.git_ref = "refs/heads/other".to_owned();
        kept(&store, &other).await;
        let ask = async |known: &[(ClaimId, Done)]| among(known, Some(&store), REPO, "refs/heads/main").await.unwrap();
        assert_eq!(ask(&[]).await.unwrap().claim, old[2].0);
        let known = [done(5, Outcome::Expired), done(6, Outcome::Expired)];
        assert_eq!(ask(&known).await.unwrap().outcome, Outcome::Expired);
        assert_eq!(among(&[], Some(&store), REPO, "refs/heads/none").await.unwrap(), None);
        assert_eq!(among(&[], None, REPO, "refs/heads/main").await.unwrap(), None);
    }
}
