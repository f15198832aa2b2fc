//! Stub.
use super::App;
use crate::domain::config::RepoConfig;
use crate::domain::id::{BuildId, ClaimId};
use crate::domain::record::Record;
use crate::registry::Stored;
#[derive(Debug)]
pub(crate) enum Advanced {
    Dispatched(BuildId),
    Elsewhere(Box<Stored<Record>>),
    Gone,
}
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdvanceError {
    #[error("{0}")]
    Permanent(String),
    #[error("later")]
    Passing(#[source] Box<dyn std::error::Error + Send + Sync>),
}
pub(crate) async fn advance(
    app: &App,
    claim: &ClaimId,
    stored: Stored<Record>,
    config: &RepoConfig,
) -> Result<Advanced, AdvanceError> {
    let _ = (app, claim, stored, config);
    std::future::pending().await
}
