//! One line a decision, and never a token.

use std::error::Error;

use super::Sessions;
use super::exchange::Granted;
use super::refusal::Refusal;
use crate::domain::id::ClaimId;
use crate::domain::identity::Identity;

/// So much of a claim is logged that is none: whoever can start a controller can send anything.
const CLAIM: usize = 64;

impl Sessions {
    /// A build was given what it may have.
    pub(super) fn granted(&self, claim: &ClaimId, identity: &Identity, granted: &Granted) {
        let facts = &granted.grant.facts;
        tracing::info!(
            claim = claim.as_str(),
            allocation = identity.allocation(),
            repo = facts.repo_url,
            commit = facts.commit.as_str(),
            trusted = facts.trusted,
            secrets = granted.grant.inject.is_some(),
            again = granted.again,
            "a session was granted"
        );
    }

    /// A controller was not, though it is one.
    pub(super) fn refused(&self, claim: &str, identity: &Identity, refusal: &Refusal) {
        let claim: String = claim.chars().take(CLAIM).flat_map(char::escape_debug).collect();
        let cause = refusal.cause.as_ref().map(|cause| &**cause as &dyn Error);
        let (status, reason) = (refusal.status.as_u16(), refusal.sentence.as_str());
        let (allocation, subject) = (identity.allocation(), identity.subject());
        if refusal.passes() {
            tracing::info!(claim, allocation, subject, status, reason, error = cause, "a session has to wait");
        } else {
            tracing::warn!(claim, allocation, subject, status, reason, error = cause, "a session was refused");
        }
    }

    /// What a build has reported could not be kept.
    pub(super) fn unkept(&self, claim: &ClaimId, refusal: &Refusal) {
        let cause = refusal.cause.as_ref().map(|cause| &**cause as &dyn Error);
        tracing::warn!(claim = claim.as_str(), reason = refusal.sentence, error = cause, "a report was not kept");
    }

    /// A blob could not be taken or given, for a reason of ours.
    pub(super) fn unserved(&self, claim: &ClaimId, refusal: &Refusal) {
        let Some(cause) = refusal.cause.as_ref() else { return };
        let cause = &**cause as &dyn Error;
        tracing::warn!(claim = claim.as_str(), reason = refusal.sentence, error = cause, "a blob was not served");
    }

    /// Somebody came without a token that holds; no more than a line a second.
    pub(super) fn turned_away(&self, refusal: &Refusal) {
        self.refusals.log_token(&refusal.sentence);
    }
}
