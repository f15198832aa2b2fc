//! The end of a runner's record: nothing of it stays on its forge's list.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::super::course::{Course, Halt, Next};
use super::super::waiting::Configured;
use crate::api::forge::{ForgeError, Removed};
use crate::dispatcher::runners;

/// How long one try may take.
const WITHIN: Duration = Duration::from_secs(30);
/// A forge that does not answer for so long is given up: what is left goes with the next look at its list.
const GIVE_UP_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// A runner that its forge says has a job, though it has ended, is given up sooner: the forge fails that job by itself.
const BUSY_FOR: SignedDuration = SignedDuration::from_mins(15);

impl Course {
    /// Whether nothing of it is listed any more; else when to try again.
    pub(in crate::dispatcher::follower) async fn unlisted(&mut self) -> Result<Option<Next>, Halt> {
        let record = &self.stored.value;
        let Some(runner) = record.runner.as_deref().filter(|runner| runner.registering.is_some()) else {
            return Ok(None);
        };
        let since = Timestamp::now().duration_since(record.finished.unwrap_or(record.created));
        let (name, id) = (runner.name.clone(), runner.registered);
        let config = match self.configured().await? {
            Configured::Yes(config) => config,
            Configured::No => return Ok(None),
            Configured::NotNow(reason) => return Ok(self.unlist_later(since, &reason)),
        };
        if !self.shared.lock.is_proven(&self.shared.app.registry).await {
            return Ok(Some(Next::In(self.dispatch_backoff.wait())));
        }
        let forge = match runners::at_forge(&self.shared.app, &config, &self.stored.value.repo) {
            Ok(forge) => forge,
            Err(error) => return Ok(self.forge_refuses(&error)),
        };
        match tokio::time::timeout(WITHIN, forge.remove_named(&name, id)).await {
            Ok(Ok(Removed::Yes)) => Ok(None),
            Ok(Ok(Removed::Unseen)) => {
                Ok(self
                    .unlist_later(since, "the forge lists more runners than are read: remove those that nobody needs"))
            }
            Ok(Ok(Removed::Busy)) if since > BUSY_FOR => Ok(None),
            Ok(Ok(Removed::Busy)) => Ok(self.unlist_later(since, "the forge says that it has a job")),
            Ok(Err(error @ ForgeError::Refused(_))) => Ok(self.forge_refuses(&error)),
            Ok(Err(error @ (ForgeError::Unanswered(_) | ForgeError::Unavailable(_)))) => {
                Ok(self.unlist_later(since, &error.to_string()))
            }
            Err(_elapsed) => Ok(self.unlist_later(since, "the forge does not answer in time")),
        }
    }

    fn forge_refuses(&self, error: &ForgeError) -> Option<Next> {
        let (claim, error) = (self.claim.as_str(), error as &dyn std::error::Error);
        tracing::error!(claim, error, "a runner stays on its forge's list: remove it there");
        None
    }

    fn unlist_later(&mut self, since: SignedDuration, reason: &str) -> Option<Next> {
        let claim = self.claim.as_str();
        if since > GIVE_UP_AFTER {
            tracing::error!(claim, reason, "a runner could not be taken off its forge's list for a day: given up");
            return None;
        }
        tracing::warn!(claim, reason, "a runner could not be taken off its forge's list; it is tried again");
        Some(Next::In(self.dispatch_backoff.wait()))
    }
}
