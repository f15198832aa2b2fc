//! The newest build of a ref, open or ended: for a badge, and for whoever follows a link to it.

use std::time::Instant;

use jiff::Timestamp;

use super::find::{Seen, Turns, list_in};
use crate::api::store::{Store, StoreError};
use crate::dispatcher::App;
use crate::dispatcher::ended::{Ended, Table};
use crate::dispatcher::view::BuildView;
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::outcome::{Outcome, Verdict};
use crate::domain::record::{Done, Phase, Record};
use crate::domain::repo_url::RepoUrl;
use crate::registry::RegistryError;

/// Whose newest build is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The repository, in any spelling.
    pub(crate) repo: &'a RepoUrl,
    /// `refs/heads/…`, `refs/tags/…`.
    pub(crate) git_ref: &'a str,
    /// None: any.
    pub(crate) flavor: Option<&'a str>,
    /// Whether private builds count; for whoever may not read them they are not there.
    pub(crate) sees_private: bool,
}

/// The newest change of a ref.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Latest {
    /// Which.
    pub(crate) claim: ClaimId,
    /// Its child, once there is one.
    pub(crate) build: Option<BuildId>,
    /// What a list says of it: `queued`, `running`, …, or the outcome's word.
    pub(crate) state: &'static str,
    /// How it came out; none while it is open.
    pub(crate) outcome: Option<Outcome>,
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

/// Of a ref of a repository; none where none is known. Jobs do not count.
///
/// # Errors
/// See [`LatestError`].
pub(crate) async fn latest(app: &App, asked: &Asked<'_>) -> Result<Option<Latest>, LatestError> {
    let open = app.known.open(app, Instant::now()).await?;
    let done = app.known.done(app, &open).await?;
    let theirs = open.iter().filter(|(_, stored)| asked.is_open(&stored.value));
    let newest = theirs.max_by_key(|(_, stored)| stored.value.created);
    let newest = newest.map(|(claim, stored)| Latest::open(claim, &stored.value));
    let ended = among(done, app.store.as_ref().map(|store| (store, &app.turns)), asked).await?;
    Ok(newest.into_iter().chain(ended).max_by_key(|one| one.created))
}

/// Among those that the registry knows; else among those that the store knows, once it is our turn to ask it.
async fn among(
    ended: &Ended,
    store: Option<(&Store, &Turns)>,
    asked: &Asked<'_>,
) -> Result<Option<Latest>, StoreError> {
    if let Some(latest) = asked.newest(&ended.table()) {
        return Ok(Some(latest));
    }
    let Some((store, turns)) = store else { return Ok(None) };
    let _turn = turns.0.acquire().await;
    let count = ended.table().all().len();
    let known = Seen { count, has: &|claim| ended.table().claim(claim).is_some() };
    let older = list_in(store, None, known, 1, |story| asked.is_ended(&story.done)).await?;
    Ok(older.first().map(|story| Latest::ended(&story.claim, &story.done)))
}

impl Asked<'_> {
    fn is_open(&self, record: &Record) -> bool {
        record.canonical == self.repo.canonical()
            && record.parent.is_none()
            && record.runner.is_none()
            && self.fits(&record.git_ref, record.flavor.as_str(), record.private)
    }

    fn is_ended(&self, done: &Done) -> bool {
        done.parent.is_none()
            && done.runner.is_none()
            && self.fits(&done.git_ref, done.flavor.as_str(), done.private)
            && done.repo.parse::<RepoUrl>().is_ok_and(|repo| repo.canonical() == self.repo.canonical())
    }

    /// Only what is of this ref is looked at.
    fn newest(&self, table: &Table) -> Option<Latest> {
        let theirs = table.of_ref(self.repo.canonical(), self.git_ref).iter().rev();
        let mut changes = theirs.filter(|row| !row.is_job() && !row.is_runner());
        let newest = changes.find(|row| self.fits(row.git_ref(), row.flavor(), row.is_private()))?;
        newest.shown().map(|(claim, done)| Latest::ended(&claim, &done))
    }

    fn fits(&self, git_ref: &str, flavor: &str, private: bool) -> bool {
        git_ref == self.git_ref && self.flavor.is_none_or(|wanted| wanted == flavor) && (self.sees_private || !private)
    }
}

impl Latest {
    fn open(claim: &ClaimId, record: &Record) -> Self {
        let (state, outcome) = match (&record.phase, BuildView::glance(record)) {
            (_, Verdict::Ended(outcome)) => (outcome.word(), Some(outcome)),
            (Phase::Held, _) => ("held", None),
            (Phase::Claimed, _) => ("claimed", None),
            (_, Verdict::Queued { .. }) => ("queued", None),
            (_, Verdict::Unplaceable { .. }) => ("unplaceable", None),
            (_, Verdict::Preparing) => ("preparing", None),
            (_, Verdict::Running) => ("running", None),
            (_, Verdict::Open { .. }) => ("waiting", None),
        };
        Self {
            claim: claim.clone(),
            build: record.build.clone(),
            state,
            outcome,
            created: record.created,
            private: record.private,
        }
    }

    fn ended(claim: &ClaimId, done: &Done) -> Self {
        Self {
            claim: claim.clone(),
            build: done.build.clone(),
            state: done.outcome.word(),
            outcome: Some(done.outcome.clone()),
            created: done.created,
            private: done.private,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatcher::history::tests::{REPO, done, kept};

    #[tokio::test]
    async fn the_newest_outcome_of_a_ref_is_known_for_long() {
        let (store, turns) = (Store::memory(), Turns::default());
        let old = [done(1, Outcome::Success), done(2, Outcome::Expired), done(3, Outcome::Success)];
        for one in &old {
            kept(&store, one).await;
        }
        let mut other = done(4, Outcome::Success);
        other.1.git_ref = "refs/heads/other".to_owned();
        kept(&store, &other).await;
        let repo: RepoUrl = REPO.parse().unwrap();
        let main = Asked { repo: &repo, git_ref: "refs/heads/main", flavor: None, sees_private: true };
        let ask =
            async |known: &[(ClaimId, Done)]| among(&Ended::with(known), Some((&store, &turns)), &main).await.unwrap();
        assert_eq!(ask(&[]).await.unwrap().claim, old[2].0);
        let known = [done(5, Outcome::Expired), done(6, Outcome::Expired)];
        assert_eq!(ask(&known).await.unwrap().outcome, Some(Outcome::Expired));
        assert_eq!(
            among(&Ended::default(), Some((&store, &turns)), &Asked { git_ref: "refs/heads/none", ..main })
                .await
                .unwrap(),
            None
        );
        assert_eq!(among(&Ended::default(), None, &main).await.unwrap(), None);
    }

    #[tokio::test]
    async fn spelling_flavor_and_who_asks_decide_which_is_the_newest() {
        let mut hidden = done(9, Outcome::Success);
        hidden.1.private = true;
        let (mut public, mut big) = (done(7, Outcome::Expired), done(8, Outcome::Timeout));
        public.1.private = false;
        (big.1.private, big.1.flavor) = (false, "big".parse().unwrap());
        let known = [public.clone(), big.clone(), hidden.clone()];
        let repo: RepoUrl = REPO.replace("https://", "HTTPS://").parse().unwrap();
        let git_ref = "refs/heads/main";
        for (flavor, sees_private, newest) in [
            (None, true, Some(&hidden)),
            (None, false, Some(&big)),
            (Some("big"), true, Some(&big)),
            (Some(public.1.flavor.as_str()), false, Some(&public)),
            (Some("none"), true, None),
        ] {
            let found =
                among(&Ended::with(&known), None, &Asked { repo: &repo, git_ref, flavor, sees_private }).await.unwrap();
            assert_eq!(found.map(|found| found.claim), newest.map(|one| one.0.clone()), "{flavor:?} {sees_private}");
        }
    }
}
