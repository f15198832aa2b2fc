//! Parts of addresses and requests that several handlers take, for their descriptions.

#![expect(dead_code, reason = "described here, and read by extractors and functions of other names")]

use utoipa::IntoParams;

use crate::domain::id::{BuilderName, ClaimId};

/// A build's id, in the two parts that stand in an address.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct BuildPath {
    /// The builder's name, its slashes percent-encoded.
    builder: BuilderName,
    /// `dispatch-<time>-<id>`
    child: String,
}

/// A change.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct ClaimPath {
    /// The change's claim.
    claim: ClaimId,
}

/// Who may have to ask twice.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// The same word for the same change starts one build, however often it is asked for.
    #[param(rename = "Idempotency-Key", max_length = 128)]
    key: Option<String>,
}

/// Who wants a part.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct Ranged {
    /// `bytes=…`: one range of the log as it is now.
    #[param(rename = "Range")]
    range: Option<String>,
}
