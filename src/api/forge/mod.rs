//! Gitea, Forgejo and GitHub: commit statuses and what a ref holds.

use reqwest::Client;
use url::Url;

use crate::domain::config::ForgeConfig;
use crate::domain::id::CommitSha;
use crate::domain::status::{Listed, State};

/// A status to be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewStatus {
    /// The word.
    pub state: State,
    /// One line.
    pub description: String,
    /// Beside it; each commit shows the newest of each context.
    pub context: String,
    /// The build's page; none where `ALBATROS_URL` is not set.
    pub target_url: Option<Url>,
}

/// One repository at its forge.
#[derive(Debug)]
pub struct Forge {}

/// Why a forge did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// It never will; the sentence has nothing secret.
    #[error("the forge refused: {0}")]
    Refused(String),
    /// It was asked, and no whole answer came: what was to be written may be there.
    #[error("the forge did not answer")]
    Unanswered(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It was not reached, or said that it cannot now: nothing was written.
    #[error("the forge cannot be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Forge {
    /// The repository `repo` (REPO_URL) at the configured forge.
    ///
    /// # Errors
    /// [`ForgeError::Refused`] when the address is not one of a repository.
    pub fn new(client: Client, config: &ForgeConfig, repo: &str) -> Result<Self, ForgeError> {
        let _ = (client, config, repo);
        Ok(Self {})
    }

    /// Posts a status.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn post_status(&self, commit: &CommitSha, status: &NewStatus) -> Result<(), ForgeError> {
        let _ = (commit, status);
        Err(ForgeError::Unavailable("forges cannot be talked to yet".into()))
    }

    /// The commit's statuses of all contexts, newest first.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn statuses(&self, commit: &CommitSha) -> Result<Vec<Listed>, ForgeError> {
        let _ = commit;
        Err(ForgeError::Unavailable("forges cannot be talked to yet".into()))
    }

    /// Whether the commit is on the ref.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn holds(&self, git_ref: &str, commit: &CommitSha) -> Result<bool, ForgeError> {
        let _ = (git_ref, commit);
        Err(ForgeError::Unavailable("forges cannot be talked to yet".into()))
    }
}
