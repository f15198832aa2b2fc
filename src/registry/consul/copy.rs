//! The local copy of all configurations, kept up by a blocking query: strangers who knock cost Consul nothing.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD as STANDARD, BASE64_URL_SAFE_NO_PAD as URL_SAFE_NO_PAD};
use tokio::sync::{Mutex, watch};

use super::{Entry, Found, PACE, RegistryError};
use crate::api::consul::{Consistency, Consul, Pair};
use crate::domain::config::RepoConfig;
use crate::domain::repo_url::RepoUrl;

/// How long a quiet query stays open: so old the copy may become before anybody can tell that Consul is gone.
const WAIT: Duration = Duration::from_secs(60);
/// Between two tries while Consul is away: at first, and at most.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// The least time between two reads for addresses that are not in the copy, whoever asks.
const MISS: Duration = Duration::from_secs(1);
/// How long a caller waits for the first copy: forges give up after 5 s.
const FIRST: Duration = Duration::from_secs(2);

/// A value that was parsed, and the index it had.
#[derive(Debug)]
struct Kept {
    index: (u64, u64),
    parsed: Result<RepoConfig, String>,
}

impl Kept {
    fn read(pair: &Pair) -> Self {
        let parsed = RepoConfig::parse(&pair.value).map_err(|error| error.to_string());
        Self { index: (pair.create_index, pair.modify_index), parsed }
    }

    fn entry(&self, repo: &str) -> Entry {
        match &self.parsed {
            Ok(config) => Entry::Found(Box::new(Found { repo: repo.to_owned(), config: config.clone() })),
            Err(sentence) => Entry::Broken(sentence.clone()),
        }
    }
}

type Table = Arc<HashMap<String, Arc<Kept>>>;

/// What one state of the folder said, by the last part of the key.
#[derive(Debug)]
pub(super) struct Copied {
    folder: String,
    table: watch::Sender<Option<Table>>,
    /// When Consul last answered, or this began.
    heard: std::sync::Mutex<Instant>,
    missed: Mutex<Option<Instant>>,
}

/// There has been no answer from Consul since the start.
#[derive(Debug, thiserror::Error)]
#[error("Consul has not yet said which repositories there are")]
struct NoCopy;

impl Copied {
    pub(super) fn new(folder: String) -> Self {
        Self { folder, table: watch::Sender::new(None), heard: Instant::now().into(), missed: Mutex::default() }
    }

    pub(super) fn folder(&self) -> &str {
        &self.folder
    }

    pub(super) fn silence(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    async fn table(&self) -> Result<Table, RegistryError> {
        let unavailable = || RegistryError::Unavailable(Box::new(NoCopy));
        let mut states = self.table.subscribe();
        let first = tokio::time::timeout(FIRST, states.wait_for(Option::is_some)).await;
        first.ok().and_then(Result::ok).and_then(|table| table.clone()).ok_or_else(unavailable)
    }

    pub(super) async fn entry(&self, consul: &Consul, url: &RepoUrl) -> Result<Entry, RegistryError> {
        let table = self.table().await?;
        for (spelling, key) in url.keys() {
            if let Some(kept) = table.get(&key) {
                return Ok(kept.entry(&spelling));
            }
        }
        // Somebody else is reading, or has just read: whoever is new in the meantime comes with the copy.
        let Ok(mut last) = self.missed.try_lock() else { return Ok(Entry::Unknown) };
        if last.is_some_and(|at| at.elapsed() < MISS) {
            return Ok(Entry::Unknown);
        }
        let answer = read_entry(consul, &self.folder, url).await;
        *last = Some(Instant::now());
        answer
    }

    pub(super) async fn entries(&self) -> Result<Vec<Found>, RegistryError> {
        let table = self.table().await?;
        let found = table.iter().filter_map(|(key, kept)| {
            let config = kept.parsed.as_ref().ok()?.clone();
            Some(Found { repo: address(key)?, config })
        });
        Ok(found.collect())
    }

    /// Takes over a new state; what has not changed is not parsed again.
    fn replace(&self, pairs: &[Pair]) {
        let old = self.table.borrow().clone().unwrap_or_default();
        let new = pairs.iter().filter_map(|pair| {
            let key = pair.key.strip_prefix(&self.folder).filter(|key| !key.is_empty())?;
            let index = (pair.create_index, pair.modify_index);
            let kept = match old.get(key).filter(|kept| kept.index == index) {
                Some(kept) => Arc::clone(kept),
                None => Arc::new(self.parse(pair)),
            };
            Some((key.to_owned(), kept))
        });
        let new = Arc::new(new.collect());
        self.table.send_replace(Some(new));
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn parse(&self, pair: &Pair) -> Kept {
        let kept = Kept::read(pair);
        if let Err(sentence) = &kept.parsed {
            tracing::warn!(key = pair.key, reason = sentence, "configuration cannot be used");
        }
        kept
    }
}

/// The address that a key stands for.
fn address(key: &str) -> Option<String> {
    let bytes = STANDARD.decode(key).or_else(|_| URL_SAFE_NO_PAD.decode(key)).ok()?;
    String::from_utf8(bytes).ok()
}

/// Reads a repository's entry from Consul itself.
pub(super) async fn read_entry(consul: &Consul, folder: &str, url: &RepoUrl) -> Result<Entry, RegistryError> {
    for (spelling, key) in url.keys() {
        if let Some(pair) = consul.get(&format!("{folder}{key}"), Consistency::Consistent).await? {
            return Ok(Kept::read(&pair).entry(&spelling));
        }
    }
    Ok(Entry::Unknown)
}

/// Keeps the copy up, without end.
pub(super) async fn watch(consul: Consul, copy: Arc<Copied>) {
    let (least, most) = BACK_OFF;
    let (mut index, mut pause) = (0, least);
    loop {
        let asked = Instant::now();
        match consul.list(&copy.folder, Some((index, WAIT)), Consistency::Default).await {
            Ok((next, pairs)) => {
                copy.replace(&pairs);
                if next == index && asked.elapsed() < PACE {
                    tokio::time::sleep(PACE).await;
                }
                (index, pause) = (next, least);
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "configurations not read from Consul");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(most);
            }
        }
    }
}
