//! Whether a change is to be built at all, where the forge has to be asked for it: the commit's message, or the files
//! that it touches. In doubt it is built.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::backoff::Backoff;
use super::course::{Course, Halt, Next};
use super::waiting::Configured;
use crate::api::forge::{Forge, ForgeError, Range};
use crate::domain::config::RepoConfig;
use crate::domain::outcome::Outcome;
use crate::domain::record::{Phase, Record, Undecided};
use crate::domain::skip;
use crate::domain::times::Times;

/// Why a change waits that is asked about.
pub(super) const TO_BE_SAID: &str = "the forge is to say what it changes";
/// All that is asked for one change, page after page.
const ASKED_WITHIN: Duration = Duration::from_secs(20);
/// A forge that cannot be asked for so long keeps nobody waiting any more.
const ASK_FOR: Duration = Duration::from_secs(600);
/// The same where one follower after another had no answer: by the change's own time.
const ASK_FOR_AT_MOST: SignedDuration = SignedDuration::from_mins(20);
/// What is held waits for a person: the forge is left alone where it refuses.
const HELD_AGAIN: Duration = Duration::from_secs(3_600);

/// What this process knows of its questions.
#[derive(Debug)]
pub(super) struct Asking {
    since: Option<Instant>,
    /// Not before this, as long as it is held, or as long as it is not.
    after: Option<(Instant, bool)>,
    backoff: Backoff,
}

impl Default for Asking {
    fn default() -> Self {
        let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(60));
        Self { since: None, after: None, backoff }
    }
}

/// Why the forge did not say.
#[derive(Debug, thiserror::Error)]
enum Unsaid {
    #[error("the forge could not be asked")]
    Forge(#[from] ForgeError),
    #[error("the forge took longer than {} s", ASKED_WITHIN.as_secs())]
    Slow,
    #[error("{0}")]
    Configuration(String),
}

impl Unsaid {
    /// No later try would be answered better.
    fn is_final(&self) -> bool {
        matches!(self, Self::Forge(ForgeError::Refused(_)))
    }
}

/// Whether a change goes on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Decided {
    /// Nothing stands against building it.
    Go,
    /// It is not known yet; again after this.
    Later(Duration),
    /// The record has changed.
    Otherwise(Next),
}

impl Course {
    /// Settles whether the change is to be built; nothing that follows may be done before.
    pub(super) async fn decide(&mut self) -> Result<Decided, Halt> {
        let Some(undecided) = self.stored.value.undecided else { return Ok(Decided::Go) };
        let held = self.stored.value.phase == Phase::Held;
        let after = self.asking.after.filter(|(_, was_held)| *was_held == held);
        let left = after.map(|(at, _)| at.saturating_duration_since(Instant::now())).unwrap_or_default();
        if !left.is_zero() {
            return Ok(Decided::Later(left));
        }
        match self.reason_to_skip(undecided).await? {
            Ok(Some(reason)) => {
                let next = self.end(Outcome::Skipped { reason }, Times::default()).await?;
                Ok(Decided::Otherwise(next))
            }
            Ok(None) => self.decided().await,
            Err(unsaid) => self.unsaid(&unsaid).await,
        }
    }

    async fn decided(&mut self) -> Result<Decided, Halt> {
        let record = Record { undecided: None, ..self.stored.value.clone() };
        Ok(if self.write(record).await? { Decided::Go } else { Decided::Otherwise(Next::Again) })
    }

    async fn unsaid(&mut self, unsaid: &Unsaid) -> Result<Decided, Halt> {
        let (claim, record) = (self.claim.as_str(), &self.stored.value);
        let held = record.phase == Phase::Held;
        let since = *self.asking.since.get_or_insert_with(Instant::now);
        let age = Timestamp::now().duration_since(record.approved.unwrap_or(record.created));
        let is_patient = since.elapsed() < ASK_FOR && age < ASK_FOR_AT_MOST;
        let wait = match (unsaid.is_final(), held) {
            (true, true) => HELD_AGAIN,
            (false, true) => self.asking.backoff.wait(),
            (false, false) if is_patient => self.asking.backoff.wait(),
            (_, false) => {
                tracing::warn!(
                    claim,
                    error = unsaid as &dyn std::error::Error,
                    "whether it is to be built is not known; it is built"
                );
                return self.decided().await;
            }
        };
        let error = unsaid as &dyn std::error::Error;
        tracing::warn!(claim, error, "whether it is to be built is not known yet; the forge is asked again");
        self.asking.after = Some((Instant::now() + wait, held));
        Ok(Decided::Later(wait))
    }

    /// Why it is not to be built, by the configuration of this moment; none if it is.
    async fn reason_to_skip(&self, undecided: Undecided) -> Result<Result<Option<String>, Unsaid>, Halt> {
        let config = match self.configured().await? {
            Configured::Yes(config) => config,
            // That is told when it is dispatched.
            Configured::No => return Ok(Ok(None)),
            Configured::NotNow(reason) => return Ok(Err(Unsaid::Configuration(reason))),
        };
        let Some(forge) = config.forge.as_ref() else { return Ok(Ok(None)) };
        let asked = async {
            let place = self.shared.forges.place(&forge.url, ASKED_WITHIN).await;
            let Some(_place) = place else { return Err(Unsaid::Slow) };
            let asked = tokio::time::timeout(ASKED_WITHIN, self.ask(undecided, &config)).await;
            asked.unwrap_or(Err(Unsaid::Slow))
        };
        tokio::select! {
            asked = asked => Ok(asked),
            () = self.shared.lock.lost().cancelled() => Err(Halt::LeaseLost),
        }
    }

    async fn ask(&self, undecided: Undecided, config: &RepoConfig) -> Result<Option<String>, Unsaid> {
        let record = &self.stored.value;
        let Some(forge) = &config.forge else { return Ok(None) };
        let forge = Forge::new(self.shared.app.forge_client.clone(), forge, &record.repo)?;
        if undecided.message
            && let Some(message) = forge.message(&record.commit).await?
            && let Some(reason) = skip::by_message(&message)
        {
            return Ok(Some(reason));
        }
        let Some(range) = Range::of(record).filter(|_| undecided.files && skip::has_paths(config)) else {
            return Ok(None);
        };
        let changed = forge.changed(&range).await?;
        if !changed.whole {
            tracing::info!(claim = self.claim.as_str(), "the forge does not know all that was changed; it is built");
            return Ok(None);
        }
        Ok(skip::by_files(&changed.files, config))
    }
}
