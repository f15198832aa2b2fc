//! What a person means who names a commit by its first digits, a pull request by its number, or nothing at all.

use reqwest::StatusCode;
use serde::Deserialize;

use super::{Forge, ForgeError, call};
use crate::api::http::Answer;
use crate::domain::config::ForgeKind;
use crate::domain::delivery::{self, Opened};
use crate::domain::id::CommitSha;

#[derive(Deserialize)]
struct Repository {
    #[serde(default)]
    default_branch: String,
}

#[derive(Deserialize)]
struct Commit {
    sha: CommitSha,
}

impl Forge {
    /// The name of the branch that the repository itself counts as its own; none of an empty repository.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn default_branch(&self) -> Result<Option<String>, ForgeError> {
        let answer = call::accepted(self.get("read the repository", &[], &[]).await?, "read the repository")?;
        Ok(Some(answer.json::<Repository>()?.default_branch).filter(|branch| !branch.is_empty()))
    }

    /// The commit whose id begins so (hexadecimal digits); none where there is none, or more than one.
    ///
    /// # Errors
    /// See [`ForgeError`]; also when the whole repository is not there, or not for our token.
    pub async fn commit(&self, digits: &str) -> Result<Option<CommitSha>, ForgeError> {
        let path: &[&str] = match self.kind {
            ForgeKind::Gitea => &["git", "commits", digits],
            ForgeKind::Github => &["commits", digits],
        };
        let Some(answer) = self.named(path, "read a commit").await? else { return Ok(None) };
        // Both forges take a branch's name as well, and one may look like this.
        let sha = answer.json::<Commit>()?.sha;
        Ok(sha.as_str().starts_with(&digits.to_ascii_lowercase()).then_some(sha))
    }

    /// A pull request as it is; none where there is none of that number.
    ///
    /// # Errors
    /// See [`ForgeError`]; also when the whole repository is not there, or not for our token.
    pub async fn pull(&self, number: u64) -> Result<Option<Opened>, ForgeError> {
        let Some(answer) = self.named(&["pulls", &number.to_string()], "read a pull request").await? else {
            return Ok(None);
        };
        let unread = |error| ForgeError::Unanswered(Box::new(error));
        delivery::opened(&answer.body).map(Some).map_err(unread)
    }

    /// None where there is no such thing in a repository that is there.
    async fn named(&self, path: &[&str], what: &'static str) -> Result<Option<Answer>, ForgeError> {
        let answer = self.get(what, path, &[]).await?;
        // GitHub says 422 of digits that no commit begins with.
        let is_none = matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY);
        if is_none && !call::is_page(&answer) {
            call::accepted(self.get("read the repository", &[], &[]).await?, "read the repository")?;
            return Ok(None);
        }
        call::accepted(answer, what).map(Some)
    }
}
