//! What the controller and its clients say to each other.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::domain::grant::{Checkout, Facts, WireCheckout};
use crate::domain::report::TestCounts;

/// `GET /v1/build`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Build {
    /// The child's job id.
    pub id: String,
    /// What it builds.
    #[serde(flatten)]
    pub facts: Facts,
}

/// `GET /v1/workspace`
#[derive(Debug, Clone)]
pub struct Workspace {
    /// What is built.
    pub build: Build,
    /// How its workspace is made.
    pub checkout: Checkout,
    /// For the log: why the build has no session, if so.
    pub notice: Option<String>,
}

#[derive(Serialize, Deserialize, ToSchema)]
#[schema(as = Workspace)]
pub(crate) struct WireWorkspace {
    build: Build,
    #[schema(value_type = WireCheckout)]
    checkout: Box<RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

impl Workspace {
    /// As JSON with the credential in it: for the trusted socket, and nothing else.
    ///
    /// # Errors
    /// Never for a value of ours.
    pub fn to_wire(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(&WireWorkspace {
            build: self.build.clone(),
            checkout: serde_json::from_slice(&self.checkout.to_wire()?)?,
            notice: self.notice.clone(),
        })
    }

    /// Reads [`Workspace::to_wire`].
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_wire(bytes: &[u8]) -> serde_json::Result<Self> {
        let wire: WireWorkspace = serde_json::from_slice(bytes)?;
        let checkout = Checkout::from_wire(wire.checkout.get().as_bytes())?;
        Ok(Self { build: wire.build, checkout, notice: wire.notice })
    }
}

/// What `POST /v1/report` answers: what the report now holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reported {
    /// The summary's size, bytes.
    pub summary: usize,
    /// Over all files that were reported; none where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests: Option<TestCounts>,
}
