//! What is remembered of the newest green build of a ref.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::id::{BuildId, ClaimId};

/// The newest green push or tag build of a ref and a flavor: what a later build of the ref may read of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Green {
    /// Its claim: where its things are.
    pub claim: ClaimId,
    /// The build.
    pub build: BuildId,
    /// When it ended.
    pub finished: Timestamp,
}
