//! The last word of a log.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Says that a log is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct End {
    /// Of all its text, bytes.
    pub length: u64,
}
