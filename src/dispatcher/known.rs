//! From a build's id to what is known of it: its claim's record, or what is left of one.

use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::App;
use super::ended::Ended;
use super::history::{self, Kept};
use super::shared::Shared;
use crate::api::store::StoreError;
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::record::{Done, Record};
use crate::engine::EngineError;
use crate::registry::{Index, RegistryError, Stored};

/// Builds whose claim is remembered; a claim never changes, so this only saves reads.
const REMEMBERED: usize = 4096;

/// How old a list of open changes may be in which the claim of a build is looked up: whoever guesses builds' ids makes us
/// read the list once in this time, however many he tries.
const OPEN_LIST_FOR: Duration = Duration::from_secs(1);

/// How old a list of open changes may be that is taken for the present one since its index is the same. Consul forgets
/// after 15 minutes that something was deleted; then a folder's index goes back to that of the newest that is left, and may
/// be one that it had before.
const SAME_FOR: Duration = Duration::from_secs(300);

/// What there is of a build in the registry.
#[derive(Debug, Clone)]
pub(crate) enum Tracked {
    /// Not over, or not reported yet.
    Open(Box<Stored<Record>>),
    /// Over and reported.
    Done(Box<Done>),
    /// The engine knows the child, the registry does not: dispatched by hand, or its record has expired.
    Not,
}

/// A build that exists or has existed.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) build: BuildId,
    pub(crate) claim: Option<ClaimId>,
    pub(crate) tracked: Tracked,
    /// The repository: by the record, else by the child's meta.
    pub(crate) repo: Option<String>,
    /// What is known of no record is private.
    pub(crate) private: bool,
    /// What the store says, where nobody else knows it any more.
    pub(crate) kept: Option<Box<Kept>>,
}

/// Why a look-up gave nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookupError {
    #[error("the registry did not answer")]
    Registry(#[from] RegistryError),
    #[error("the engine did not answer")]
    Engine(#[from] EngineError),
    #[error("the store did not answer")]
    Store(#[from] StoreError),
}

/// How long one look-up answers for all who read the same build: hundreds of readers come at once.
const SHARED_FOR: Duration = Duration::from_secs(1);

/// The newest look-up of one build; the lock is held while it is made, so that the others wait for it.
type SharedLookup = Arc<tokio::sync::Mutex<Option<(Instant, Known)>>>;

/// Small memories of look-ups; losing them costs only reads.
#[derive(Debug, Default)]
pub(crate) struct KnownBuilds {
    claims: Mutex<HashMap<BuildId, ClaimId>>,
    shared: Mutex<HashMap<BuildId, SharedLookup>>,
    open: Shared<OpenList>,
    ended: Ended,
}

/// All open changes, as they were at an index.
#[derive(Debug)]
pub(crate) struct OpenList {
    pub(crate) index: Index,
    /// When the read began.
    read_at: Instant,
    changes: Vec<(ClaimId, Stored<Record>)>,
}

impl OpenList {
    /// What a read found that began at `read_at`.
    pub(crate) fn new(read_at: Instant, (index, changes): (Index, Vec<(ClaimId, Stored<Record>)>)) -> Self {
        Self { index, read_at, changes }
    }

    /// Whether nothing has changed since, where the index now is this one.
    fn is_same(&self, index: Index, now: Instant) -> bool {
        self.index == index && now.saturating_duration_since(self.read_at) < SAME_FOR
    }
}

impl Default for OpenList {
    fn default() -> Self {
        Self::new(Instant::now(), (Index(0), Vec::new()))
    }
}

impl Deref for OpenList {
    type Target = Vec<(ClaimId, Stored<Record>)>;

    fn deref(&self) -> &Self::Target {
        &self.changes
    }
}

impl KnownBuilds {
    fn claim_of(&self, build: &BuildId) -> Option<ClaimId> {
        self.claims.lock().ok()?.get(build).cloned()
    }

    fn shared(&self, build: &BuildId) -> SharedLookup {
        let Ok(mut shared) = self.shared.lock() else { return SharedLookup::default() };
        if shared.len() >= REMEMBERED {
            shared.retain(|_, lookup| Arc::strong_count(lookup) > 1);
        }
        Arc::clone(shared.entry(build.clone()).or_default())
    }

    /// Remembers whose child a build is.
    pub(crate) fn remember(&self, build: &BuildId, claim: &ClaimId) {
        if let Ok(mut claims) = self.claims.lock() {
            if claims.len() >= REMEMBERED {
                claims.clear();
            }
            claims.insert(build.clone(), claim.clone());
        }
    }

    /// The open changes, as they were at `since` or later. What was read before is asked for its age alone.
    pub(crate) async fn open(&self, app: &App, since: Instant) -> Result<Arc<OpenList>, RegistryError> {
        let read = async |before: Option<Arc<OpenList>>| {
            if let Some(before) = before
                && before.is_same(app.registry.open_index().await?, Instant::now())
            {
                return Ok(before);
            }
            let read_at = Instant::now();
            Ok(Arc::new(OpenList::new(read_at, app.registry.watch_open(None, Duration::ZERO).await?)))
        };
        self.open.get(since, read).await
    }

    /// The ended changes, beside the open ones that were read just before: no change is in neither.
    pub(crate) async fn done(&self, app: &App, open: &OpenList) -> Result<&Ended, RegistryError> {
        self.keep_up(app, open).await?;
        Ok(&self.ended)
    }

    /// Brings the ended changes up to this list of open ones; says whether none is missing.
    pub(crate) async fn keep_up(&self, app: &App, open: &OpenList) -> Result<bool, RegistryError> {
        self.ended.keep_up(&app.registry, open).await
    }

    /// The ended changes as far as they are known, for who keeps them up by himself.
    pub(crate) fn ended(&self) -> &Ended {
        &self.ended
    }
}

/// The same as [`find`] for those who only read; what it says may be a second old.
pub(crate) async fn find_shared(app: &App, build: &BuildId) -> Result<Option<Known>, LookupError> {
    let lookup = app.known.shared(build);
    let mut newest = lookup.lock().await;
    if let Some((at, known)) = newest.as_ref()
        && at.elapsed() < SHARED_FOR
    {
        return Ok(Some(known.clone()));
    }
    let found = find(app, build).await?;
    *newest = found.clone().map(|known| (Instant::now(), known));
    Ok(found)
}

/// What is known of a build; none when neither the registry nor the engine has heard of it, and the store has none of it.
pub(crate) async fn find(app: &App, build: &BuildId) -> Result<Option<Known>, LookupError> {
    let found = find_alive(app, build).await?;
    if let Some(known) = &found
        && !matches!(known.tracked, Tracked::Not)
    {
        return Ok(found);
    }
    match history::build(app, build).await? {
        Some(kept) => {
            let known = of_done(build, &kept.story.claim, kept.story.done.clone());
            Ok(Some(Known { kept: Some(Box::new(kept)), ..known }))
        }
        None => Ok(found),
    }
}

/// What the registry and the engine know.
async fn find_alive(app: &App, build: &BuildId) -> Result<Option<Known>, LookupError> {
    if let Some(claim) = app.known.claim_of(build)
        && let Some(known) = by_claim(app, build, &claim).await?
    {
        return Ok(Some(known));
    }
    // From the local copy first, so that what strangers guess costs Nomad nothing.
    if !is_configured(app, build).await? {
        return Ok(listed(app, build).await?);
    }
    let Some(job) = app.engine.observe(build).await?.job else { return Ok(listed(app, build).await?) };
    if let Ok(claim) = job.dispatch_idempotency_token.parse::<ClaimId>()
        && let Some(known) = by_claim(app, build, &claim).await?
    {
        return Ok(Some(known));
    }
    let repo = job.meta.get("REPO_URL").cloned();
    Ok(Some(Known { build: build.clone(), claim: None, tracked: Tracked::Not, repo, private: true, kept: None }))
}

/// The record under `claim`, if it names this very child.
async fn by_claim(app: &App, build: &BuildId, claim: &ClaimId) -> Result<Option<Known>, RegistryError> {
    // What has ended is open again only where the registry was restored.
    let is_over = app.known.ended.table().claim(claim).is_some();
    let over = if is_over { app.registry.done(claim).await? } else { None };
    if over.is_none()
        && let Some(stored) = app.registry.open(claim).await?
    {
        if stored.value.build.as_ref() != Some(build) {
            return Ok(None);
        }
        app.known.remember(build, claim);
        return Ok(Some(of_open(build, claim, stored)));
    }
    let done = match over {
        Some(done) => Some(done),
        None => app.registry.done(claim).await?,
    };
    let Some(done) = done else { return Ok(None) };
    if done.build.as_ref() != Some(build) {
        return Ok(None);
    }
    app.known.remember(build, claim);
    Ok(Some(of_done(build, claim, done)))
}

/// A build that the engine has forgotten, or whose builder no repository names any more: by the lists of all changes,
/// which all such look-ups share. What they say may be old, and so the record itself is read again.
async fn listed(app: &App, build: &BuildId) -> Result<Option<Known>, RegistryError> {
    let now = Instant::now();
    let open = app.known.open(app, now.checked_sub(OPEN_LIST_FOR).unwrap_or(now)).await?;
    let theirs = open.iter().find(|(_, stored)| stored.value.build.as_ref() == Some(build));
    if let Some((claim, _)) = theirs {
        return by_claim(app, build, claim).await;
    }
    let ended = app.known.done(app, &open).await?;
    let claim = ended.table().build(build).and_then(|row| row.claim());
    match claim {
        Some(claim) => by_claim(app, build, &claim).await,
        None => Ok(None),
    }
}

/// Whether some repository's configuration names the build's builder.
async fn is_configured(app: &App, build: &BuildId) -> Result<bool, RegistryError> {
    let entries = app.registry.entries().await?;
    Ok(entries.iter().any(|found| {
        let config = &found.config;
        let flavors = config.flavors.values().filter_map(|flavor| flavor.builder.as_ref());
        let own = [&config.builder, &config.job_builder];
        let untrusted = config.untrusted_builder.iter().chain(&config.untrusted_job_builder);
        let runners = config.runners.iter().map(|pool| &pool.builder);
        let mut all = own.into_iter().chain(untrusted).chain(flavors).chain(runners);
        all.any(|name| name.as_str() == build.builder())
    }))
}

/// Of an open record.
pub(crate) fn of_open(build: &BuildId, claim: &ClaimId, stored: Stored<Record>) -> Known {
    Known {
        build: build.clone(),
        claim: Some(claim.clone()),
        repo: Some(stored.value.repo.clone()),
        private: stored.value.private,
        tracked: Tracked::Open(Box::new(stored)),
        kept: None,
    }
}

/// Of what is left of one.
pub(crate) fn of_done(build: &BuildId, claim: &ClaimId, done: Done) -> Known {
    Known {
        build: build.clone(),
        claim: Some(claim.clone()),
        repo: Some(done.repo.clone()),
        private: done.private,
        tracked: Tracked::Done(Box::new(done)),
        kept: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_comes_again_later_is_no_sign_that_nothing_has_changed() {
        let read_at = Instant::now();
        let list = OpenList::new(read_at, (Index(7), Vec::new()));
        assert!(list.is_same(Index(7), read_at + SAME_FOR / 2));
        assert!(!list.is_same(Index(8), read_at));
        assert!(!list.is_same(Index(7), read_at + SAME_FOR), "what was deleted since may be forgotten");
    }
}
