//! Writes what ended into the store. Each write may be done again.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::home;
use crate::api::store::{Store, StoreError};
use crate::dispatcher::{App, SharedApp};
use crate::domain::history::{Home, Story};
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::place::{self, Green, Key, RepoPlace, Trust};
use crate::domain::record::Done;
use crate::registry::RegistryError;

/// A story with its report.
pub(super) const STORY_MOST: u64 = 1 << 20;
/// While a change ends, the store gets so much time; then it is written later.
const AT_ONCE: Duration = Duration::from_secs(5);
/// What was not written at once is tried again after this.
const AGAIN: Duration = Duration::from_secs(30);

/// Why something is not in the store.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepError {
    #[error("the store does not take it")]
    Store(#[from] StoreError),
    #[error("the registry does not answer")]
    Registry(#[from] RegistryError),
    #[error("it cannot be written down")]
    Write(#[from] serde_json::Error),
}

/// Whether the store has what ended just now; if not, [`keep_later`] sees to it.
pub(crate) async fn keep_now(app: &App, claim: &ClaimId, done: &Done) -> bool {
    let Some(store) = &app.store else { return false };
    match tokio::time::timeout(AT_ONCE, keep(app, store, claim, done)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::warn!(%claim, error = &error as &dyn std::error::Error, "an ended change is not in the store yet");
            false
        }
        Err(_elapsed) => {
            tracing::warn!(%claim, "an ended change is not in the store yet: it does not answer");
            false
        }
    }
}

/// Writes what could not be written at once, until it is there; for ever.
pub(crate) async fn keep_later(app: SharedApp) {
    let Some(store) = app.store.clone() else { return };
    // What this process has written since; the registry does not say so of it.
    let mut written: HashSet<ClaimId> = HashSet::new();
    loop {
        match app.registry.all_done().await {
            Ok(all) => {
                let known: HashSet<&ClaimId> = all.iter().map(|(claim, _)| claim).collect();
                written.retain(|claim| known.contains(claim));
                for (claim, done) in all.iter().filter(|(_, done)| !done.kept) {
                    if written.contains(claim) {
                        continue;
                    }
                    match keep(&app, &store, claim, done).await {
                        Ok(()) => {
                            tracing::info!(%claim, "an ended change is in the store now");
                            written.insert(claim.clone());
                        }
                        Err(error) => {
                            let error = &error as &dyn std::error::Error;
                            tracing::warn!(%claim, error, "an ended change is not in the store yet");
                            break;
                        }
                    }
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "ended changes could not be read");
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn keep(app: &App, store: &Store, claim: &ClaimId, done: &Done) -> Result<(), KeepError> {
    let home = home::of(app, claim, &done.repo, done.parent.as_ref()).await?;
    write(store, &home, &Story::of(claim, done, app.registry.report(claim).await?)).await
}

pub(super) async fn write(store: &Store, home: &Home, story: &Story) -> Result<(), KeepError> {
    let Story { claim, done, .. } = story;
    store.put(&home.place().record(claim), json(story)?).await?;
    store.put(&place::index_of_claim(claim), json(home)?).await?;
    if let Some(build) = &done.build {
        store.put(&place::index(build), json(home)?).await?;
        if story.is_green() {
            green(store, home, done, build).await?;
        }
    }
    if done.parent.is_none() {
        store.put(&place::history(done.created, claim), json(&story.line())?).await?;
    }
    Ok(())
}

/// The newest green build of its ref, unless there is a newer one.
async fn green(store: &Store, home: &Home, done: &Done, build: &BuildId) -> Result<(), KeepError> {
    let key = RepoPlace::by_hash(home.repo.clone()).green(Trust::of(done.trusted), &done.git_ref, &done.flavor);
    let before: Option<Green> = read(store, &key).await?;
    if before.is_none_or(|before| before.finished <= done.finished) {
        let green = Green { claim: home.own.clone(), build: build.clone(), finished: done.finished };
        store.put(&key, json(&green)?).await?;
    }
    Ok(())
}

fn json<T: Serialize>(value: &T) -> Result<Bytes, serde_json::Error> {
    serde_json::to_vec(value).map(Bytes::from)
}

/// A small object of ours, if it is there and makes sense.
pub(super) async fn read<T: DeserializeOwned>(store: &Store, key: &Key) -> Result<Option<T>, StoreError> {
    let Some(bytes) = store.read(key, STORY_MOST).await? else { return Ok(None) };
    let parsed = serde_json::from_slice(&bytes);
    Ok(parsed
        .inspect_err(|error| tracing::warn!(key = key.as_str(), %error, "a record in the store makes no sense"))
        .ok())
}
