//! Names that come from outside, each checked once where it comes in.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::blob::BlobKind;

/// A word that is not what it should be: says what was expected, and never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {why}")]
pub struct IdError {
    what: &'static str,
    why: String,
}

fn refuse<T>(what: &'static str, why: impl Into<String>) -> Result<T, IdError> {
    Err(IdError { what, why: why.into() })
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $pattern:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, pattern = $pattern)]
        pub struct $name(String);

        impl $name {
            /// The text as it stands.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    };
}

text_id! {
    /// A full commit id: 40 or 64 hexadecimal digits, kept in lower case.
    CommitSha, "^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$"
}
text_id! {
    /// The name of a parameterized Nomad job: 1 to 128 bytes, no control character, no space, no NUL.
    BuilderName, "^[^\\s/]+(/[^\\s/]+)*$"
}
text_id! {
    /// A build: the job id of a dispatched child, `<builder>/dispatch-<unix seconds>-<8 hex digits>`.
    BuildId, "^[^\\s/]+(/[^\\s/]+)*/dispatch-[A-Za-z0-9._-]{1,128}$"
}
text_id! {
    /// A free word chosen by the hook's URL: 1 to 64 of `A-Z a-z 0-9 . _ -`.
    Flavor, "^[A-Za-z0-9._-]{1,64}$"
}
text_id! {
    /// The key under which one change is built once: 64 lower-case hexadecimal digits.
    ClaimId, "^[0-9a-f]{64}$"
}

text_id! {
    /// An artifact or a cache: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit. Never more than a word of a path.
    BlobId, "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
}
text_id! {
    /// A job that a build has started: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit. Good once in a build.
    JobName, "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
}

text_id! {
    /// The bytes of one blob, before and after they are committed: 32 lower-case hexadecimal digits, made up by the server. The first says what kind it
    /// is, so that whoever takes the bytes need remember nothing.
    UploadId, "^[ac][0-9a-f]{31}$"
}

/// The words of which `BlobId` and `JobName` are made.
fn is_word(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

const WORD: &str = "expected 1 to 64 of the characters A-Z a-z 0-9 . _ -, the first a letter or digit";

impl FromStr for BlobId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_word(text) { Ok(Self(text.to_owned())) } else { refuse("name", WORD) }
    }
}

impl FromStr for JobName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if is_word(text) { Ok(Self(text.to_owned())) } else { refuse("job", WORD) }
    }
}

impl FromStr for UploadId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = text.len() == 32
            && text.starts_with([ARTIFACT_UPLOAD, CACHE_UPLOAD])
            && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(text.to_owned())) } else { refuse("upload", "expected the word that the server gave") }
    }
}

/// Two hexadecimal digits that are easy to tell apart.
const ARTIFACT_UPLOAD: char = 'a';
const CACHE_UPLOAD: char = 'c';

impl UploadId {
    /// From random bytes.
    #[must_use]
    pub fn new(kind: BlobKind, random: [u8; 16]) -> Self {
        let first = match kind {
            BlobKind::Artifact => ARTIFACT_UPLOAD,
            BlobKind::Cache => CACHE_UPLOAD,
        };
        let rest: String = hex::encode(random).chars().skip(1).collect();
        Self(format!("{first}{rest}"))
    }

    /// What it was begun for.
    #[must_use]
    pub fn kind(&self) -> BlobKind {
        if self.0.starts_with(ARTIFACT_UPLOAD) { BlobKind::Artifact } else { BlobKind::Cache }
    }
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit())
}

impl FromStr for CommitSha {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if !matches!(text.len(), 40 | 64) || !is_hex(text) {
            return refuse("commit", "expected 40 or 64 hexadecimal digits");
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl CommitSha {
    /// Whether this is the id of nothing, as forges send it for a deleted ref.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|b| b == b'0')
    }

    /// The first 8 digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl FromStr for Flavor {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        if !fits {
            return refuse("flavor", "expected 1 to 64 of the characters A-Z a-z 0-9 . _ -");
        }
        Ok(Self(text.to_owned()))
    }
}

impl Default for Flavor {
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for ClaimId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if text.len() != 64 || !text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return refuse("claim", "expected 64 lower-case hexadecimal digits");
        }
        Ok(Self(text.to_owned()))
    }
}

impl ClaimId {
    /// From the digest that it spells.
    #[must_use]
    pub fn from_digest(digest: [u8; 32]) -> Self {
        Self(hex::encode(digest))
    }

    /// The digest that it spells.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        hex::decode(&self.0).ok()?.try_into().ok()
    }
}

impl Default for BuilderName {
    fn default() -> Self {
        Self("builder".to_owned())
    }
}

impl BuilderName {
    /// The one of jobs, where none is named.
    #[must_use]
    pub fn of_jobs() -> Self {
        Self("container".to_owned())
    }
}

impl FromStr for BuilderName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        if !(1..=128).contains(&text.len()) {
            return refuse("builder", "expected 1 to 128 bytes");
        }
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return refuse("builder", "expected no space and no control character");
        }
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return refuse("builder", "expected no empty part, `.` or `..` between slashes");
        }
        Ok(Self(text.to_owned()))
    }
}

const DISPATCH: &str = "/dispatch-";

impl FromStr for BuildId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let Some(at) = text.rfind(DISPATCH) else {
            return refuse("build", "expected <builder>/dispatch-<time>-<id>");
        };
        let (builder, rest) = text.split_at(at);
        builder.parse::<BuilderName>()?;
        let suffix = rest.get(DISPATCH.len()..).unwrap_or_default();
        let fits = (1..=128).contains(&suffix.len())
            && suffix.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !fits {
            return refuse("build", "expected <builder>/dispatch-<time>-<id>");
        }
        Ok(Self(text.to_owned()))
    }
}

impl BuildId {
    /// The builder whose child this is.
    #[must_use]
    pub fn builder(&self) -> &str {
        self.0.rfind(DISPATCH).and_then(|at| self.0.get(..at)).unwrap_or_default()
    }

    /// The part behind the builder: `dispatch-<time>-<id>`.
    #[must_use]
    pub fn child(&self) -> &str {
        self.0.rfind(DISPATCH).and_then(|at| self.0.get(at + 1..)).unwrap_or_default()
    }
}
