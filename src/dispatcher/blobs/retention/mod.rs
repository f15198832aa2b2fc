//! What is old goes: by age, by the size of all, and what broken uploads left. The follower alone does it.
//!
//! [`survey`] looks through the store once, [`greens`] says what stays beyond its age, [`away`] takes away. Nothing is
//! deleted that is not named as ours are, whoever put it there.

mod away;
mod greens;
mod survey;

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use super::BlobSettings;
use crate::api::store::{Store, StoreError};
use crate::dispatcher::SharedApp;
use crate::domain::id::ClaimId;
use crate::domain::place::{self, Key, Place};

use away::Away;
use greens::Greens;
use survey::{Seen, Survey, What};

/// A server that has just begun has better to do.
const FIRST: Duration = Duration::from_secs(30);
/// Between two looks through a store without a size.
const EVERY: Duration = Duration::from_secs(6 * 3_600);
/// Between two with one: so much it may grow beyond it.
const EVERY_SIZED: Duration = Duration::from_secs(3_600);
/// What was begun a day ago and is not committed never will be: no build runs for so long without a word.
const UNFINISHED: SignedDuration = SignedDuration::from_hours(24);
/// What was written within this may belong to a build that runs: no size takes it away.
const FRESH: SignedDuration = SignedDuration::from_hours(1);
/// An index is a few words.
const INDEX_MOST: u64 = 4 * 1024;

/// What one look did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) builds: usize,
    pub(crate) caches: usize,
    pub(crate) uploads: usize,
    pub(crate) lines: usize,
    /// Bytes that are left.
    pub(crate) size: u64,
}

/// Keeps the store within its bounds for as long as it is polled.
pub(crate) async fn keep_within(app: SharedApp) {
    let Some(store) = app.store.clone() else { return };
    let settings = &app.settings.blobs;
    tokio::time::sleep(FIRST).await;
    loop {
        match pass(&store, settings, Timestamp::now()).await {
            Ok(Done { builds, caches, uploads, lines, size }) => {
                tracing::info!(
                    builds,
                    caches,
                    uploads,
                    lines,
                    size_bytes = size,
                    "what is old was taken from the store"
                );
                if let Some(most) = settings.size.filter(|most| size > *most) {
                    tracing::warn!(
                        size_bytes = size,
                        most_bytes = most,
                        "the store is larger than ALBATROS_STORE_SIZE"
                    );
                }
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "what is old could not be taken from the store");
            }
        }
        tokio::time::sleep(if settings.size.is_some() { EVERY_SIZED } else { EVERY }).await;
    }
}

/// One look through the store.
pub(crate) async fn pass(store: &Store, settings: &BlobSettings, now: Timestamp) -> Result<Done, StoreError> {
    let keep = SignedDuration::try_from(settings.keep).unwrap_or(SignedDuration::MAX);
    let is_old = |written: Timestamp| now.duration_since(written) > keep;
    let away = Away::new(store);
    let mut survey = survey::survey(store, &away, now - UNFINISHED).await?;
    let mut done = Done { uploads: survey.swept + store.sweep_unfinished(now - UNFINISHED).await?, ..Done::default() };
    let mut greens = Greens::new(store, keep, now);
    let mut left = Vec::new();
    for seen in std::mem::take(&mut survey.seen) {
        if is_old(seen.written) && !stays(&survey, &mut greens, &seen).await? {
            take(&survey, &away, &seen, &mut done).await?;
        } else {
            left.push(seen);
        }
    }
    left.sort_by_key(|seen| seen.written);
    let mut size: u64 = left.iter().map(|seen| seen.size).sum();
    for seen in left {
        let over = settings.size.is_some_and(|most| size > most);
        if !over || now.duration_since(seen.written) < FRESH {
            break;
        }
        take(&survey, &away, &seen, &mut done).await?;
        size = size.saturating_sub(seen.size);
    }
    done.size = size;
    done.lines = lines(store, &away, greens.stayed(), is_old).await?;
    Ok(done)
}

/// The newest green build of a branch is what later ones look for.
async fn stays(survey: &Survey, greens: &mut Greens<'_>, seen: &Seen) -> Result<bool, StoreError> {
    match &seen.what {
        What::Build(claim) => greens.hold(&survey.repo(seen.repo), &ClaimId::from_digest(*claim)).await,
        What::Cache(..) => Ok(false),
    }
}

async fn take(survey: &Survey, away: &Away<'_>, seen: &Seen, done: &mut Done) -> Result<(), StoreError> {
    let repo = survey.repo(seen.repo);
    match &seen.what {
        What::Build(claim) => {
            away.build(&repo.build(&ClaimId::from_digest(*claim))).await?;
            done.builds += 1;
        }
        What::Cache(trust, id) => {
            if away.cache(&repo, *trust, id, seen.written).await? {
                done.caches += 1;
            }
        }
    }
    Ok(())
}

#[derive(Debug, Deserialize)]
struct Index {
    claim: ClaimId,
}

/// Lists forget what is old, but for builds that stay; how many lines.
async fn lines(
    store: &Store,
    away: &Away<'_>,
    stayed: &HashSet<ClaimId>,
    is_old: impl Fn(Timestamp) -> bool,
) -> Result<usize, StoreError> {
    let mut taken = 0;
    for folder in [place::histories(), place::indexes()] {
        let mut all = store.walk(&folder);
        while let Some(one) = all.next().await {
            let one = one?;
            let Some((key, place)) = Key::read(&one.key) else { continue };
            let goes = match place {
                Place::History(created, claim) => is_old(created) && !stayed.contains(&claim),
                Place::Index if is_old(one.modified) => {
                    let claim =
                        store.read(&key, INDEX_MOST).await?.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                    claim.is_none_or(|Index { claim }| !stayed.contains(&claim))
                }
                Place::Index | Place::Build(..) | Place::Cache(..) | Place::CacheObject(..) | Place::Green(_) => false,
            };
            if goes {
                away.one(&key).await?;
                taken += 1;
            }
        }
    }
    Ok(taken)
}

#[cfg(test)]
mod tests;
