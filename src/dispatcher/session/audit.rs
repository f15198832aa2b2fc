//! One line a decision, and never a token.

use std::error::Error;

use super::Sessions;
use super::exchange::Granted;
use super::refusal::Refusal;
use crate::dispatcher::audit::Line;
use crate::domain::id::ClaimId;
use crate::domain::identity::Identity;

/// So much of a claim is logged that is none: whoever can start a controller can send anything.
const CLAIM: usize = 64;

impl Sessions {
    /// A build was given what it may have.
    pub(super) fn granted(&self, claim: &ClaimId, identity: &Identity, granted: &Granted) {
        let facts = &granted.grant.facts;
        let secrets = granted.grant.inject.is_some();
        let why = match (facts.trusted, secrets) {
            (false, _) => "not trusted, so it gets no secrets",
            (true, true) => "trusted, and the forge says that the commit is on its ref, where it can be asked",
            (true, false) => "trusted, and there are no secrets for it",
        };
        Line {
            verdict: if granted.again { "granted again" } else { "granted" },
            repo: Some(&facts.repo_url),
            commit: Some(facts.commit.as_str()),
            trusted: Some(facts.trusted),
            why: Some(why),
            secrets: Some(secrets),
            claim: Some(claim.as_str()),
            of: Some(identity.allocation()),
            ..Line::default()
        }
        .write("session");
    }

    /// A controller was not, though it is one.
    pub(super) fn refused(&self, claim: &str, identity: &Identity, refusal: &Refusal) {
        // Whoever can start a controller can send anything.
        let claim: String = claim.chars().take(CLAIM).collect();
        Line {
            verdict: if refusal.passes() { "later" } else { "refused" },
            reason: Some(&refusal.sentence),
            secrets: Some(false),
            claim: Some(&claim),
            of: Some(identity.subject()),
            ..Line::default()
        }
        .write("session");
        if let Some(cause) = &refusal.cause {
            let error = &**cause as &dyn Error;
            tracing::warn!(claim, status = refusal.status.as_u16(), error, "a session was not granted");
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
