//! The build's way to serve, once it has its session: blobs and jobs go over it.

use super::answer::Refusal;
use super::session::Decided;
use super::{App, Source};
use crate::api::session::SessionServer;
use crate::domain::id::ClaimId;
use crate::domain::secret::Secret;

/// serve, and what it is shown.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) server: SessionServer,
    pub(crate) claim: ClaimId,
    pub(crate) secret: Secret,
}

impl Link {
    /// Where a build of this source would find serve; `secret` is what its session was asked for with.
    pub(super) fn of(source: &Source, secret: &Secret) -> Option<Self> {
        match source {
            Source::Server { server, claim, .. } => {
                Some(Self { server: server.clone(), claim: claim.clone(), secret: secret.clone() })
            }
            Source::Given { grant, .. } => {
                let session = grant.session.as_ref()?;
                match SessionServer::new(session.server.clone(), None) {
                    Ok(server) => Some(Self { server, claim: session.claim.clone(), secret: session.secret.clone() }),
                    Err(error) => {
                        tracing::error!(%error, "the server that was handed over cannot be asked");
                        None
                    }
                }
            }
            Source::Nowhere(_) => None,
        }
    }
}

impl App {
    /// serve, for a build that has a session.
    ///
    /// # Errors
    /// 403 for one that has none, and why.
    pub(super) async fn link(&self) -> Result<&Link, Refusal> {
        let none = |why: &str| Refusal::forbidden(format!("this build has nothing from serve: {why}"));
        match self.decided().await? {
            Decided::Granted(_) => self.link.as_ref().ok_or_else(|| none("no server was named to it")),
            Decided::Without(reason) => Err(none(&reason)),
        }
    }
}
