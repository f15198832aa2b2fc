//! serve, as the one build sees it that this controller is of.

use super::Source;
use crate::api::session::{SessionError, SessionServer};
use crate::domain::id::ClaimId;
use crate::domain::report::Report;
use crate::domain::secret::Secret;

/// serve, with what the build's session is known by there.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    pub(crate) server: SessionServer,
    pub(crate) claim: ClaimId,
    pub(crate) secret: Secret,
}

impl Upstream {
    /// None for a build that serve knows nothing of. `made` is the secret that a session asked for is made with; one that
    /// was given has its own.
    pub(super) fn of(source: &Source, made: &Secret) -> Option<Self> {
        match source {
            Source::Server { server, claim, .. } => {
                Some(Self { server: server.clone(), claim: claim.clone(), secret: made.clone() })
            }
            Source::Given { grant, server } => {
                let (given, server) = (grant.session.as_ref()?, server.clone()?);
                Some(Self { server, claim: given.claim.clone(), secret: given.secret.clone() })
            }
            Source::Nowhere(_) => None,
        }
    }

    pub(super) async fn report(&self, report: &Report) -> Result<(), SessionError> {
        self.server.report(&self.claim, &self.secret, report).await
    }
}
