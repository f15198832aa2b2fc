//! A newer change takes the place of older ones. Which is newer the forge says: deliveries come in any order.
//!
//! Of two changes of one ref at least one sees the other: each writes its claim, reads the list and then asks for the
//! head. Killed anywhere in here, the next follower asks again; what was stopped stays so.

use std::time::Duration;

use tokio::time::Instant;

use super::backoff::Backoff;
use super::course::{Course, Halt};
use crate::api::forge::{Forge, ForgeError};
use crate::dispatcher::known::OpenList;
use crate::domain::config::RepoConfig;
use crate::domain::id::{ClaimId, CommitSha};
use crate::domain::record::{Phase, Record, Stop, StopWhy};
use crate::domain::supersede::{is_built_by, may_be_ended, newer, takes_place_of, was_built_by};
use crate::registry::{RegistryError, Stored, Written};

/// How long one answer of the forge is waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// For so long it is asked again; then the change goes on without.
const ASK_FOR: Duration = Duration::from_secs(15);
/// An answer that is older when a change's turn comes is asked for once more.
const FRESH_FOR: Duration = Duration::from_secs(2);
/// Tries of one write against other writers of the same record; each lost one means that another got through.
const TRIES: usize = 10;

/// What this process knows of how a change stands to its ref's head.
#[derive(Debug)]
pub(super) struct Measure {
    first: Option<Instant>,
    not_before: Option<Instant>,
    backoff: Backoff,
    settled: Option<Instant>,
}

impl Default for Measure {
    fn default() -> Self {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(5));
        Self { first: None, not_before: None, backoff, settled: None }
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Measured {
    /// Nothing newer stands in its way, as far as that can be known.
    Go,
    /// The forge did not answer: again after this.
    Later(Duration),
    /// By what it is overtaken, for people.
    Superseded(String),
}

/// The open changes, as they were listed.
type Open = OpenList;

/// What the forge says a ref holds.
enum Head {
    Is(CommitSha),
    /// There is no such ref any more, or no forge that may be asked.
    Unknown,
    NotNow(Box<dyn std::error::Error + Send + Sync>),
}

impl Course {
    /// Asks for the head, once before the change goes on and once more when its turn comes, and ends what is older.
    pub(super) async fn measure(&mut self, config: &RepoConfig) -> Result<Measured, Halt> {
        if !config.concurrency.supersede {
            return Ok(Measured::Go);
        }
        let known = self.measured.settled.is_some();
        let is_fresh = self.measured.settled.is_some_and(|at| at.elapsed() < FRESH_FOR);
        if is_fresh || (known && !self.turn().is_granted()) {
            return Ok(Measured::Go);
        }
        let wait = self.measured.not_before.map(|at| at.saturating_duration_since(Instant::now())).unwrap_or_default();
        if !wait.is_zero() && !known {
            return Ok(Measured::Later(wait));
        }
        // The list comes first: what is claimed after it is newer than the answer, and not for this one to end.
        let app = &self.shared.app;
        let open = app.known.open(app, std::time::Instant::now()).await?;
        let measured = match self.head(config).await {
            Head::Is(head) if head == self.stored.value.commit => self.stop_older(&head, &open).await?,
            // What this change was pushed upon is older than it: the forge has not heard of the push yet, or a change
            // that takes it back comes by itself.
            Head::Is(head) if head.as_str() == self.stored.value.before => Measured::Go,
            Head::Is(head) => self.look_for(&head, &open).await?,
            Head::Unknown => Measured::Go,
            Head::NotNow(error) => {
                let since = *self.measured.first.get_or_insert_with(Instant::now);
                if !known && since.elapsed() < ASK_FOR {
                    let wait = self.measured.backoff.wait();
                    self.measured.not_before = Some(Instant::now() + wait);
                    return Ok(Measured::Later(wait));
                }
                let (claim, error) = (self.claim.as_str(), &*error as &dyn std::error::Error);
                tracing::warn!(claim, error, "the forge does not say which change is the newest; it goes on without");
                Measured::Go
            }
        };
        // One that is to end is measured again if that cannot be written.
        if matches!(measured, Measured::Go) {
            self.measured.settled = Some(Instant::now());
        }
        Ok(measured)
    }

    async fn head(&self, config: &RepoConfig) -> Head {
        let (record, app) = (&self.stored.value, &self.shared.app);
        let Some(forge) = &config.forge else { return Head::Unknown };
        let Some(_place) = self.shared.forges.place(&forge.url, ANSWER_WITHIN).await else {
            return Head::NotNow("too many others ask this forge".into());
        };
        let refused = |error: &ForgeError| {
            let (claim, error) = (self.claim.as_str(), error as &dyn std::error::Error);
            tracing::warn!(claim, error, "the forge refuses to say which change is the newest");
            Head::Unknown
        };
        let forge = match Forge::new(app.forge_client.clone(), forge, &record.repo) {
            Ok(forge) => forge,
            Err(error) => return refused(&error),
        };
        match tokio::time::timeout(ANSWER_WITHIN, forge.head(&record.git_ref)).await {
            Ok(Ok(Some(head))) => Head::Is(head),
            Ok(Ok(None)) => Head::Unknown,
            Ok(Err(error @ ForgeError::Refused(_))) => refused(&error),
            Ok(Err(error)) => Head::NotNow(Box::new(error)),
            Err(elapsed) => Head::NotNow(Box::new(elapsed)),
        }
    }

    /// It is the head: what is open of other commits ends.
    async fn stop_older(&self, head: &CommitSha, open: &Open) -> Result<Measured, Halt> {
        for (claim, other) in open.iter().filter(|(_, other)| takes_place_of(&self.stored.value, &other.value)) {
            self.stop(claim, other.clone(), newer(head)).await?;
        }
        Ok(Measured::Go)
    }

    /// Writes the stop of another change; an earlier reason stays. Its own course does the rest.
    async fn stop(&self, claim: &ClaimId, mut other: Stored<Record>, by: String) -> Result<(), Halt> {
        let (registry, lease) = (&self.shared.app.registry, Some(&self.shared.lock.lease));
        for _ in 0..TRIES {
            if other.value.stop.is_some() || matches!(other.value.phase, Phase::Ended { .. }) {
                return Ok(());
            }
            let stop = Stop { why: StopWhy::Superseded, by: by.clone(), at: jiff::Timestamp::now() };
            let record = Record { stop: Some(stop), ..other.value };
            match registry.update(claim, &record, other.index, lease).await? {
                Written::Yes(_) => {
                    tracing::info!(claim = claim.as_str(), by = self.claim.as_str(), "a newer change takes its place");
                    return Ok(());
                }
                Written::LeaseLost => return Err(Halt::LeaseLost),
                Written::Conflict => {}
            }
            let Some(newer) = registry.open(claim).await? else { return Ok(()) };
            other = newer;
        }
        Err(RegistryError::Unavailable("the record of an older change is being written by others".into()).into())
    }

    /// Another commit is the head: where that is built, or was, this one need not be.
    async fn look_for(&self, head: &CommitSha, open: &Open) -> Result<Measured, Halt> {
        let (app, record) = (&self.shared.app, &self.stored.value);
        if !may_be_ended(record) {
            return Ok(Measured::Go);
        }
        if open.iter().any(|(_, other)| is_built_by(record, head, &other.value)) {
            return Ok(Measured::Superseded(newer(head)));
        }
        let ended = app.known.done(app, open).await?;
        let theirs: Vec<_> = ended.table().of_ref(&record.canonical, &record.git_ref).to_vec();
        let was_built =
            theirs.iter().filter_map(|row| row.shown()).any(|(_, other)| was_built_by(record, head, &other));
        Ok(if was_built { Measured::Superseded(newer(head)) } else { Measured::Go })
    }
}
