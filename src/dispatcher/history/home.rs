//! Where what is kept of a build is, while the registry still knows it.

use crate::dispatcher::App;
use crate::dispatcher::known::{Known, Tracked};
use crate::domain::history::Home;
use crate::domain::id::ClaimId;
use crate::domain::job::Parent;
use crate::domain::place::RepoPlace;
use crate::domain::repo_url::RepoUrl;
use crate::registry::RegistryError;

/// Jobs start no jobs that start jobs without an end.
const DEEPEST: usize = 16;

/// Of the build with this claim, of this repository, by its canonical address or another spelling.
pub(crate) async fn of(app: &App, own: &ClaimId, repo: &str, parent: Option<&Parent>) -> Result<Home, RegistryError> {
    let canonical = repo.parse::<RepoUrl>().map_or_else(|_path| repo.to_owned(), |url| url.canonical().to_owned());
    let mut claim = own.clone();
    let mut parent = parent.cloned();
    for _ in 0..DEEPEST {
        let Some(above) = parent else { break };
        parent = match app.registry.open(&above.claim).await? {
            Some(stored) => stored.value.parent,
            None => app.registry.done(&above.claim).await?.and_then(|done| done.parent),
        };
        claim = above.claim;
    }
    Ok(Home { repo: RepoPlace::of(&canonical).hash().clone(), claim, own: own.clone() })
}

/// Where what is kept of a known build is; none of one that no record names.
pub(crate) async fn of_known(app: &App, known: &Known) -> Result<Option<Home>, RegistryError> {
    if let Some(kept) = &known.kept {
        return Ok(Some(kept.home.clone()));
    }
    let (Some(claim), Some(repo)) = (&known.claim, &known.repo) else { return Ok(None) };
    let parent = match &known.tracked {
        Tracked::Open(stored) => stored.value.parent.as_ref(),
        Tracked::Done(done) => done.parent.as_ref(),
        Tracked::Not => None,
    };
    of(app, claim, repo, parent).await.map(Some)
}
