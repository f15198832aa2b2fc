//! What a runner's program needs to serve one job of its forge: from serve to the controller, and from there, once, to
//! `albatros runner`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The most files of a registration.
const MOST_FILES: usize = 8;
/// The most bytes of a registration.
const MOST_BYTES: usize = 64 << 10;

/// A runner that is registered at its forge for one job: good once. What is in it is a secret of the runner; the token
/// that registered it is not in it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RunnerRegistration {
    /// Gitea's and Forgejo's `act_runner`.
    Gitea {
        /// Files for the folder that it runs in, by name: `.runner`.
        files: BTreeMap<String, String>,
    },
    /// GitHub's `run.sh`.
    Github {
        /// The just-in-time configuration: `ACTIONS_RUNNER_INPUT_JITCONFIG`.
        jit: String,
    },
}

/// Why bytes are no registration; never repeats them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// Not JSON as it should be.
    #[error("the runner's registration cannot be read")]
    Form,
    /// Larger than any.
    #[error("the runner's registration is larger than {MOST_BYTES} bytes, or has more than {MOST_FILES} files")]
    Size,
    /// A name that leads elsewhere.
    #[error("the runner's registration has a file whose name is none")]
    Name,
}

impl RunnerRegistration {
    /// As JSON with the secrets in it: for the way to the runner, and nothing else.
    ///
    /// # Errors
    /// Never for a value of ours.
    pub fn to_wire(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads [`RunnerRegistration::to_wire`]; no file's name leads out of the folder.
    ///
    /// # Errors
    /// When it is something else.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, RegistrationError> {
        if bytes.len() > MOST_BYTES {
            return Err(RegistrationError::Size);
        }
        let read: Self = serde_json::from_slice(bytes).map_err(|_ignored| RegistrationError::Form)?;
        match &read {
            Self::Gitea { files } if files.len() > MOST_FILES => Err(RegistrationError::Size),
            Self::Gitea { files } if !files.keys().all(|name| is_file_name(name)) => Err(RegistrationError::Name),
            Self::Gitea { .. } | Self::Github { .. } => Ok(read),
        }
    }
}

/// Whether it names a file in a folder, and nothing else.
fn is_file_name(name: &str) -> bool {
    let usual = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&name.len()) && name.bytes().all(usual) && name.bytes().any(|byte| byte != b'.')
}

impl fmt::Debug for RunnerRegistration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gitea { files } => f.debug_struct("Gitea").field("files", &files.keys()).finish_non_exhaustive(),
            Self::Github { .. } => f.debug_struct("Github").finish_non_exhaustive(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gitea(name: &str) -> RunnerRegistration {
        RunnerRegistration::Gitea { files: BTreeMap::from([(name.to_owned(), "s3cr3t".to_owned())]) }
    }

    #[test]
    fn a_registration_survives_its_way_and_is_not_shown() {
        for one in [gitea(".runner"), RunnerRegistration::Github { jit: "s3cr3t".to_owned() }] {
            assert_eq!(RunnerRegistration::from_wire(&one.to_wire().unwrap()).unwrap(), one);
            assert!(!format!("{one:?}").contains("s3cr3t"));
        }
    }

    #[test]
    fn no_file_leads_out_of_the_folder() {
        for name in ["", ".", "..", "../x", "/etc/x", "a/b", "a\0", "a\\b"] {
            let wire = gitea(name).to_wire().unwrap();
            assert_eq!(RunnerRegistration::from_wire(&wire), Err(RegistrationError::Name), "{name:?}");
        }
        let large = RunnerRegistration::Github { jit: "x".repeat(MOST_BYTES) };
        assert_eq!(RunnerRegistration::from_wire(&large.to_wire().unwrap()), Err(RegistrationError::Size));
    }
}
