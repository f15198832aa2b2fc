//! What is to be kept when the script has ended: declared by it, done by the sidecar.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::blob::BlobKind;
use crate::domain::id::BlobId;

/// Something that is to be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Save {
    /// What for.
    pub kind: BlobKind,
    /// Under which id; of a cache: the key.
    pub id: BlobId,
    /// What, relative to `dir`.
    pub paths: Vec<String>,
    /// In which case.
    #[serde(default)]
    pub when: When,
    /// The directory that names are relative to, itself relative to the workspace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub dir: String,
}

/// In which case something is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = SaveWhen)]
pub enum When {
    /// The script has ended with 0.
    #[default]
    Success,
    /// However it has ended.
    Always,
}

/// How the script has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ScriptEnd {
    /// With 0.
    Success,
    /// In any other way.
    Failure,
}

/// `GET /v1/saves/due`: the script has ended, and this is to be kept now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Due {
    /// How.
    pub ended: ScriptEnd,
    /// What.
    pub saves: Vec<Save>,
}

/// Something that could not be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Unsaved {
    /// What for.
    pub kind: BlobKind,
    /// Under which id.
    pub id: BlobId,
    /// Why not; one sentence.
    pub reason: String,
}

/// `POST /v1/saves/done`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SavesDone)]
pub struct Done {
    /// What could not be kept.
    pub failed: Vec<Unsaved>,
}

/// What `POST /v1/finish` answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finished {
    /// Why the build is not green, whatever the script has ended with.
    #[serde(default)]
    pub trouble: Option<String>,
    /// What else is to be said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
