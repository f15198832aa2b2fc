//! A change that this process itself wants built: claimed and dispatched as what a forge delivers, without a delivery.

use super::blobs::retention;
use super::claim::nonce;
use super::dispatch::{self, AdvanceError, Advanced};
use super::{App, answer::Problem};
use crate::api::store::StoreError;
use crate::domain::event::Change;
use crate::domain::id::{BuildId, ClaimId, Flavor};
use crate::domain::plan::{self, Asked, Planned};
use crate::domain::record::Phase;
use crate::domain::repo_url::RepoUrl;
use crate::domain::trust;
use crate::registry::{Claimed, Entry, RegistryError, Stored};

/// Why it is not built.
#[derive(Debug, thiserror::Error)]
pub enum OwnError {
    /// As it stands it never will be; the sentence says why.
    #[error("{0}")]
    Refused(String),
    /// It could not be written down.
    #[error("the build could not be written down")]
    Registry(#[from] RegistryError),
    /// It could not be started.
    #[error("the build could not be started")]
    Dispatch(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Has a change of a configured repository built, also when the same one was built before.
///
/// # Errors
/// See [`OwnError`].
pub async fn build(
    app: &App,
    repo: &RepoUrl,
    change: &Change,
    flavor: &Flavor,
) -> Result<(ClaimId, BuildId), OwnError> {
    let Entry::Found(found) = app.registry.entry(repo).await? else {
        return Err(OwnError::Refused(format!("{} is not configured", repo.canonical())));
    };
    let trust = trust::decide(change, &found.config);
    let salt = nonce().map_err(refused)?;
    let asked = Asked {
        change,
        trust: &trust,
        config: &found.config,
        repo: &found.repo,
        canonical: repo.canonical(),
        flavor,
        site: &app.site(),
        salt: Some(&salt),
    };
    let plan = match plan::plan(&asked) {
        // A person asks for it: it is not skipped.
        Planned::Build(plan) | Planned::Skipped(plan, _) => plan,
        Planned::Held(_) => return Err(OwnError::Refused("it waits for approval".to_owned())),
        Planned::Ignored(sentence) | Planned::Refused(sentence) => return Err(OwnError::Refused(sentence)),
    };
    let record = plan::record(&plan, Phase::Claimed, nonce().map_err(refused)?, jiff::Timestamp::now());
    let Claimed::Won(index) = app.registry.claim(&plan.claim, &record).await? else {
        return Err(OwnError::Refused("another build has its claim".to_owned()));
    };
    let stored = Stored { value: record, index };
    match dispatch::advance(app, &plan.claim, stored, &found.config).await {
        Ok(Advanced::Dispatched(build)) => {
            app.known.remember(&build, &plan.claim);
            Ok((plan.claim, build))
        }
        Ok(Advanced::Elsewhere(_) | Advanced::Gone) => Err(OwnError::Refused("it was stopped".to_owned())),
        Err(AdvanceError::Permanent(sentence) | AdvanceError::NotOurs(sentence)) => Err(OwnError::Refused(sentence)),
        Err(AdvanceError::Passing(cause)) => Err(OwnError::Dispatch(cause)),
    }
}

/// Takes from the store what is too old or too much: for a server that does not live long enough to do so by itself.
///
/// # Errors
/// When the store does not answer.
pub async fn tidy(app: &App) -> Result<(), StoreError> {
    let Some(store) = &app.store else { return Ok(()) };
    retention::pass(store, &app.settings.blobs, jiff::Timestamp::now()).await.map(drop)
}

fn refused(problem: Problem) -> OwnError {
    OwnError::Refused(problem.to_string())
}
