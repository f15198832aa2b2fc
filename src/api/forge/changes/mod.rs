//! Which files a change touches, and what its commit says: asked of the forge, never taken from a delivery, whose own
//! list is cut off.

mod gitea;
mod github;
mod pull;

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde::Deserialize;

use super::{Forge, ForgeError, call};
use crate::api::http::{Answer, HttpError};
use crate::domain::config::ForgeKind;
use crate::domain::event::EventKind;
use crate::domain::id::CommitSha;
use crate::domain::record::Record;

/// The most names that are kept of a change: GitHub lists no more of a pull request.
const MOST_FILES: usize = 3_000;

/// What a change spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range<'a> {
    /// A branch that held one commit and now holds another.
    Push {
        /// `refs/heads/…`.
        git_ref: &'a str,
        /// What it held, as sent; zeros for a new branch.
        before: &'a str,
        /// What it holds.
        commit: &'a CommitSha,
    },
    /// A pull request.
    Pull {
        /// Its number.
        number: u64,
        /// Its head, as it was when it was delivered.
        commit: &'a CommitSha,
    },
}

impl<'a> Range<'a> {
    /// What a record's change spans; none for a tag.
    #[must_use]
    pub fn of(record: &'a Record) -> Option<Self> {
        match (record.event, &record.pull) {
            (EventKind::Push, _) => {
                Some(Self::Push { git_ref: &record.git_ref, before: &record.before, commit: &record.commit })
            }
            (EventKind::PullRequest, Some(pull)) => Some(Self::Pull { number: pull.number, commit: &record.commit }),
            (EventKind::PullRequest, None) | (EventKind::Tag | EventKind::WorkflowJob, _) => None,
        }
    }
}

/// The files that a change touches, each by its path; a renamed one by both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    /// In order of the alphabet, each once, at most 3,000. There may be some that a later commit of the change put back.
    pub files: Vec<String>,
    /// Whether these are all. Not where the forge cut its list off, does not know what was there before, or no longer
    /// has this commit as the pull request's head.
    pub whole: bool,
}

/// Names as they are gathered.
#[derive(Debug, Default)]
struct Names {
    found: BTreeSet<String>,
    cut: bool,
}

impl Names {
    fn add(&mut self, file: File) {
        for name in [Some(file.filename), file.previous_filename].into_iter().flatten() {
            if self.found.len() < MOST_FILES {
                self.found.insert(name);
            } else if !self.found.contains(&name) {
                self.cut = true;
            }
        }
    }

    fn into_changed(self, whole: bool) -> Changed {
        Changed { files: self.found.into_iter().collect(), whole: whole && !self.cut }
    }
}

/// A file of a commit, a comparison or a pull request: every forge has these two words.
#[derive(Debug, Deserialize)]
struct File {
    filename: String,
    previous_filename: Option<String>,
}

/// What the other side of a comparison is.
enum Base {
    /// What the branch held.
    Before(CommitSha),
    /// The head of the default branch, from which a new one leaves.
    Default(CommitSha),
    /// Nobody knows.
    Unknown,
}

#[derive(Deserialize)]
struct Repository {
    default_branch: String,
}

#[derive(Deserialize)]
struct Message {
    message: String,
}

#[derive(Deserialize)]
struct GiteaCommit {
    commit: Message,
}

impl Forge {
    /// The files that a change touches.
    ///
    /// # Errors
    /// See [`ForgeError`]; what the forge does not know is no error but [`Changed::whole`].
    pub async fn changed(&self, of: &Range<'_>) -> Result<Changed, ForgeError> {
        let (git_ref, before, commit) = match *of {
            Range::Push { git_ref, before, commit } => (git_ref, before, commit),
            Range::Pull { number, commit } => return pull::changed(self, number, commit).await,
        };
        let base = self.base(git_ref, before).await?;
        let asked = match self.kind {
            ForgeKind::Gitea => gitea::changed(self, &base, commit).await,
            ForgeKind::Github => github::changed(self, &base, commit).await,
        };
        match asked {
            // No later answer would be any shorter.
            Err(ForgeError::Unanswered(error)) if is_too_large(&*error) => Ok(Changed::default()),
            asked => asked,
        }
    }

    /// A commit's message; none if the forge does not know the commit.
    ///
    /// # Errors
    /// See [`ForgeError`].
    pub async fn message(&self, commit: &CommitSha) -> Result<Option<String>, ForgeError> {
        let answer = self.get("read a commit", &["git", "commits", commit.as_str()], &spare()).await?;
        let Some(answer) = self.known(answer, "read a commit").await? else { return Ok(None) };
        Ok(Some(match self.kind {
            ForgeKind::Gitea => answer.json::<GiteaCommit>()?.commit.message,
            ForgeKind::Github => answer.json::<Message>()?.message,
        }))
    }

    async fn base(&self, git_ref: &str, before: &str) -> Result<Base, ForgeError> {
        let Ok(before) = before.parse::<CommitSha>() else { return Ok(Base::Unknown) };
        if !before.is_zero() {
            return Ok(Base::Before(before));
        }
        let answer = call::accepted(self.get("read the repository", &[], &[]).await?, "read the repository")?;
        let default = format!("refs/heads/{}", answer.json::<Repository>()?.default_branch);
        if default == git_ref {
            return Ok(Base::Unknown);
        }
        Ok(self.head(&default).await?.map_or(Base::Unknown, Base::Default))
    }

    /// An answer about a commit; none where the repository is there and the commit is not.
    async fn known(&self, answer: Answer, what: &str) -> Result<Option<Answer>, ForgeError> {
        if answer.status == StatusCode::NOT_FOUND && !call::is_page(&answer) {
            call::accepted(self.get("read the repository", &[], &[]).await?, "read the repository")?;
            return Ok(None);
        }
        call::accepted(answer, what).map(Some)
    }

    /// `base...head`; none where one of them is not known.
    async fn compare(
        &self,
        base: &CommitSha,
        head: &CommitSha,
        query: &[(&str, String)],
    ) -> Result<Option<Answer>, ForgeError> {
        let answer = self.get("compare commits", &["compare", &format!("{base}...{head}")], query).await?;
        self.known(answer, "compare commits").await
    }
}

/// What Gitea need not work out; GitHub does not know these words.
fn spare() -> [(&'static str, String); 2] {
    [("stat", "false".to_owned()), ("verification", "false".to_owned())]
}

fn is_too_large(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    matches!(error.downcast_ref::<HttpError>(), Some(HttpError::TooLarge(_)))
}
