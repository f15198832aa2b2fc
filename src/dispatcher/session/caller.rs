//! Who holds a build's session: the one who knows the secret that its controller made up.

use super::proof::Proof;
use super::refusal::Refusal;
use crate::dispatcher::App;
use crate::domain::id::ClaimId;
use crate::domain::record::{Phase, Record};
use crate::domain::secret::Secret;
use crate::registry::Stored;

/// A claim and the proof of a session, which [`Caller::record`] holds against the claim's record each time.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) claim: ClaimId,
    proof: Proof,
}

impl Caller {
    /// What a request says; nothing of it is checked yet but its form.
    pub(super) fn of(claim: &str, secret: &Secret) -> Result<Self, Refusal> {
        let proof = Proof::of(secret).ok_or_else(stranger)?;
        Ok(Self { claim: claim.parse().map_err(|_no_claim| stranger())?, proof })
    }

    /// The record of the build, which runs and whose session this is.
    pub(super) async fn record(&self, app: &App) -> Result<Stored<Record>, Refusal> {
        let Some(stored) = app.registry.open(&self.claim).await? else {
            let done = app.registry.done(&self.claim).await?;
            return Err(if done.is_some() { Refusal::over() } else { stranger() });
        };
        self.check(&stored.value)?;
        Ok(stored)
    }

    /// The same of a build of ours alone. A workflow finds the token of its runner's controller, and whoever's it is: what
    /// builds have, jobs on other builders before all, is none of its business.
    pub(super) async fn build(&self, app: &App) -> Result<Stored<Record>, Refusal> {
        let stored = self.record(app).await?;
        no_runner(&stored.value)?;
        Ok(stored)
    }

    /// Whether a record is that of the build, which runs and whose session this is.
    pub(super) fn check(&self, record: &Record) -> Result<(), Refusal> {
        if !self.proof.is_of(record) {
            return Err(stranger());
        }
        match record.phase {
            Phase::Ended { .. } => Err(Refusal::over()),
            Phase::Held | Phase::Waiting | Phase::Claimed | Phase::Dispatched => Ok(()),
        }
    }
}

/// That it is no runner's record.
pub(super) fn no_runner(record: &Record) -> Result<(), Refusal> {
    if record.runner.is_none() {
        return Ok(());
    }
    Err(Refusal::forbidden(
        "this build is a runner for a forge's workflows: it has no jobs, artifacts and caches here; use the forge's own",
    ))
}

fn stranger() -> Refusal {
    Refusal::forbidden("this is not the secret of the build's session")
}
