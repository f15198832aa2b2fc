//! Finds what the registry has forgotten.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::keep::read;
use crate::api::store::{Store, StoreError};
use crate::dispatcher::App;
use crate::domain::history::{Home, Story};
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::place::{self, Key, Place, histories};

/// Look-ups and lists at once: strangers may ask for anything.
const AT_ONCE: usize = 8;
/// The most lines that one list reads: what is filtered out counts.
const LINES_MOST: usize = 2_000;
/// Lines that one list reads at once.
const READS: usize = 16;

/// Bounds what is asked of the store.
#[derive(Debug)]
pub(crate) struct Turns(pub(super) Semaphore);

impl Default for Turns {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

/// Where a build is kept, and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) home: Home,
    pub(crate) story: Story,
}

/// What a list has already, so that the store need not say it again.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// How many at most.
    pub(crate) count: usize,
    pub(crate) has: &'a (dyn Fn(&ClaimId) -> bool + Send + Sync),
}

/// A build by its id.
pub(crate) async fn build(app: &App, build: &BuildId) -> Result<Option<Kept>, StoreError> {
    let kept = look(app, &place::index(build)).await?;
    Ok(kept.filter(|kept| kept.story.done.build.as_ref() == Some(build)))
}

/// A change by its claim.
pub(crate) async fn claim(app: &App, claim: &ClaimId) -> Result<Option<Kept>, StoreError> {
    let kept = look(app, &place::index_of_claim(claim)).await?;
    Ok(kept.filter(|kept| kept.story.claim == *claim))
}

async fn look(app: &App, index: &Key) -> Result<Option<Kept>, StoreError> {
    let Some(store) = &app.store else { return Ok(None) };
    let _turn = app.turns.0.acquire().await;
    let Some(home) = read::<Home>(store, index).await? else { return Ok(None) };
    let story = read(store, &home.place().record(&home.own)).await?;
    Ok(story.map(|story| Kept { home, story }))
}

/// The changes that began before `before`, newest first, but for those that are `known`: at most `most` of those that are
/// `wanted`. After 2000 lines it gives up.
pub(crate) async fn list(
    app: &App,
    before: Option<Timestamp>,
    known: Seen<'_>,
    most: usize,
    wanted: impl Fn(&Story) -> bool,
) -> Result<Vec<Story>, StoreError> {
    let Some(store) = &app.store else { return Ok(Vec::new()) };
    let _turn = app.turns.0.acquire().await;
    list_in(store, before, known, most, wanted).await
}

pub(super) async fn list_in(
    store: &Store,
    before: Option<Timestamp>,
    known: Seen<'_>,
    most: usize,
    wanted: impl Fn(&Story) -> bool,
) -> Result<Vec<Story>, StoreError> {
    let after = before.map(place::history_before);
    let listed = store.list(&histories(), after.as_ref(), LINES_MOST.saturating_add(known.count)).await?;
    let keys = listed.iter().filter_map(|one| match Key::read(&one.key)? {
        (key, Place::History(_, claim)) if !(known.has)(&claim) => Some(key),
        _ => None,
    });
    let lines = stream::iter(keys.take(LINES_MOST).collect::<Vec<_>>())
        .map(|key| line(store, key))
        .buffered(READS)
        .try_filter_map(|line| std::future::ready(Ok(line.filter(&wanted))));
    lines.take(most).try_collect().await
}

async fn line(store: &Store, key: Key) -> Result<Option<Story>, StoreError> {
    read(store, &key).await
}
